/* Breaks the tables of Programs, in ways that a checksum does not see, and runs what odl_open lets through. Built with the sanitizers: the blob
   and the arena are pieces of memory of exactly their size, so any byte read or written outside ends the run.

   fuzz SEED ROUNDS FILE...   prints how many broken Programs were refused and how many ran. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "odl.h"

static uint32_t state;

static uint32_t draw(uint32_t below) {
  state = odl_mix(state + 0x9E3779B9u);
  return state % below;
}

/* Change one field of 1, 2 or 4 bytes of the header, the tensors or the ops: to a small number, an end of its range, or its neighbour. */
static void damage(uint8_t *blob, uint32_t tables) {
  static const uint32_t values[] = {0, 1, 2, 3, 5, 8, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000u, 0xFFFFFFFCu, 0xFFFFFFFFu};
  uint32_t width = 1u << draw(3), at = 16 + draw(tables - 16), value;
  at -= at % width;
  memcpy(&value, blob + at, 4);
  value = draw(3) ? values[draw(sizeof values / sizeof *values)] : draw(2) ? value + 1 : value - 1;
  memcpy(blob + at, &value, width);
}

int main(int argc, char **argv) {
  unsigned ran = 0, refused = 0;
  state = (uint32_t)atol(argv[1]);
  for (int f = 3; f < argc; f++) {
    static uint32_t room[1 << 18];
    uint8_t *original = (uint8_t *)room;
    FILE *file = fopen(argv[f], "rb");
    if (!file) return 2;
    uint32_t len = (uint32_t)fread(original, 1, sizeof room, file);
    fclose(file);
    for (long round = 0; round < atol(argv[2]); round++) {
      uint8_t *blob = malloc(len);
      memcpy(blob, original, len);
      odl_header_t *h = (odl_header_t *)(void *)blob;
      for (uint32_t n = round ? 1 + draw(3) : 0; n; n--) damage(blob, ((odl_header_t *)(void *)original)->const_at);
      uint32_t bytes = h->arena_bytes > 1u << 20 ? 1u << 20 : h->arena_bytes;
      uint8_t *arena = malloc(bytes);
      memset(arena, 0xA5, bytes);
      h->crc32 = h->blob_bytes >= 16 && h->blob_bytes <= len ? odl_crc32(0, blob + 16, h->blob_bytes - 16) : 0;
      odl_t t;
      if (odl_open(&t, blob, len, (uint8_t *)0, arena, bytes)) {
        refused++;
        if (!round) return 3;                                      /* the first is as it came */
      } else {
        ran++;
        (void)odl_step(&t, 0.01f);
        odl_forward(&t);
      }
      free(arena);
      free(blob);
    }
  }
  printf("%u %u\n", refused, ran);
  return 0;
}
