/* Frames come in, answers go out, and nothing is done twice: see odl_server.h. */
#include "odl_command.h"

static int hello(odl_call_t *c, uint32_t boot) {
  uint32_t before = c->s->boot;
  c->s->boot = boot;
  odl_put32(c, ODL_SERVER_VERSION | (uint32_t)ODL_WIRE_PAYLOAD << 16);
  odl_put32(c, before);
  return ODL_E_NONE;
}

/* Send the reply that lies in f behind its head. */
static void answer(odl_server_t *s, odl_frame_t *f, int status, uint32_t size) {
  uint8_t *head = (uint8_t *)f->words;
  const uint8_t *asked = (const uint8_t *)s->rx.words;
  head[0] = (uint8_t)(asked[0] | 0x80u);
  head[1] = (uint8_t)status;
  odl_copy(head + 2, asked + 2, 2);
  for (uint32_t i = 0; i < 4; i++)
    head[4 + i] = (uint8_t)(s->boot >> (8u * i));
  f->size = (uint16_t)(ODL_WIRE_HEAD + size);
  odl_wire_send(f, s->hal.write, s->hal.context);
}

/* A request that comes next is obeyed; the last one once more gets the same answer; anything else changes nothing. */
static void handle(odl_server_t *s) {
  uint8_t *head = (uint8_t *)s->rx.words;
  const uint8_t kind = head[0];
  const uint16_t sequence = (uint16_t)odl_get16(head + 2), next = (uint16_t)(s->sequence + 1u);
  const uint32_t boot = odl_get32(head + 4), crc = odl_crc32(0, head, s->rx.size);
  odl_call_t c = {s, head + ODL_WIRE_HEAD, (uint32_t)s->rx.size - ODL_WIRE_HEAD, (uint8_t *)s->tx.words + ODL_WIRE_HEAD, 0};
  int status;
  if (kind & 0x80u)
    return;                                     /* an echo of our own answer */
  if (s->answered && boot == s->boot && sequence == s->sequence && crc == s->request_crc) {
    odl_wire_send(&s->tx, s->hal.write, s->hal.context);
    return;
  }
  if (kind == ODL_HELLO && boot && boot != s->boot) {
    status = hello(&c, boot);
  } else if (boot == 0 || boot != s->boot || sequence != next) {
    c.out = head + ODL_WIRE_HEAD;               /* not in tx: that goes on holding the last answer */
    status = boot == 0 || boot != s->boot ? odl_refuse(&c, ODL_E_BOOT, s->boot, boot, "boot id")
                                              : odl_refuse(&c, ODL_E_SEQUENCE, next, sequence, "sequence");
    answer(s, &s->rx, status, c.size);
    return;
  } else {
    status = odl_obey(&c, kind);
  }
  s->sequence = sequence;
  s->request_crc = crc;
  s->answered = 1;
  answer(s, &s->tx, status, c.size);
}

void odl_server_open(odl_server_t *s, const odl_hal_t *hal, uint8_t *room, uint32_t room_bytes) {
  uint8_t *bytes = (uint8_t *)s;
  for (uint32_t i = 0; i < sizeof *s; i++)
    bytes[i] = 0;
  s->hal = *hal;
  s->room = room;
  s->room_bytes = room_bytes;
}

void odl_server_byte(odl_server_t *s, uint8_t byte) {
  if (odl_wire_push(&s->rx, byte))
    handle(s);
}
