/* COBS, byte by byte: see odl_wire.h. */
#include "odl_wire.h"
#include "odl.h"

static void start(odl_frame_t *f) {
  f->length = 0;
  f->left = 0;
  f->zero = 0;
  f->bad = 0;
}

static void append(odl_frame_t *f, uint8_t byte) {
  if (f->length < ODL_WIRE_MAX)
    ((uint8_t *)f->words)[f->length++] = byte;
  else
    f->bad = 1;
}

/* At a 00: is what came in a frame? The last bytes must be the CRC of those before. */
static int is_whole(odl_frame_t *f) {
  if (f->bad || f->left || f->length < ODL_WIRE_HEAD + ODL_WIRE_CRC)
    return 0;
  uint16_t n = (uint16_t)(f->length - ODL_WIRE_CRC);
  const uint8_t *data = (const uint8_t *)f->words;
  uint32_t sent = 0;
  for (uint16_t i = 0; i < ODL_WIRE_CRC; i++)
    sent |= (uint32_t)data[n + i] << (8u * i);
  return sent == odl_crc32(0, data, n);
}

int odl_wire_push(odl_frame_t *f, uint8_t byte) {
  if (byte == 0) {
    int whole = is_whole(f);
    uint16_t n = (uint16_t)(f->length - ODL_WIRE_CRC);
    f->size = whole ? n : 0;
    start(f);
    return whole;
  }
  if (f->left == 0) {         /* a code byte: code - 1 bytes follow, and then a 00 unless code is 255 */
    if (f->zero)
      append(f, 0);
    f->zero = (uint8_t)(byte != 255u);
    f->left = (uint8_t)(byte - 1u);
  } else {
    append(f, byte);
    f->left--;
  }
  return 0;
}

void odl_wire_send(odl_frame_t *f, void (*write)(void *context, const uint8_t *data, uint16_t n), void *context) {
  static const uint8_t mark = 0;
  uint8_t *data = (uint8_t *)f->words;
  uint32_t crc = odl_crc32(0, data, f->size);
  for (uint16_t i = 0; i < ODL_WIRE_CRC; i++)
    data[f->size + i] = (uint8_t)(crc >> (8u * i));
  uint16_t end = (uint16_t)(f->size + ODL_WIRE_CRC), at = 0;
  write(context, &mark, 1);
  for (;;) {
    uint16_t n = 0;
    while (n < 254u && at + n < end && data[at + n])
      n++;
    uint8_t code = (uint8_t)(n + 1u);
    write(context, &code, 1);
    if (n)
      write(context, data + at, n);
    at = (uint16_t)(at + n);
    if (at == end)
      break;
    if (n < 254u)
      at++;               /* the 00 that the block stands for */
  }
  write(context, &mark, 1);
}
