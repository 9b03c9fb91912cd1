/* A request while it is obeyed: between odl_server.c, which speaks frames, and odl_command.c, which does what they ask. */
#ifndef ODL_COMMAND_H
#define ODL_COMMAND_H
#include "odl_server.h"

typedef struct {                /* a request and the reply that it is getting */
  odl_server_t *s;
  const uint8_t *in;          /* payload */
  uint32_t n;
  uint8_t *out;
  uint32_t size;              /* of the reply's payload, so far */
} odl_call_t;

static inline uint32_t odl_get16(const uint8_t *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }

static inline uint32_t odl_get32(const uint8_t *p) { return odl_get16(p) | odl_get16(p + 2) << 16; }

static inline void odl_copy(uint8_t *to, const uint8_t *from, uint32_t n) {
  for (uint32_t i = 0; i < n; i++)
    to[i] = from[i];
}

static inline void odl_put32(odl_call_t *c, uint32_t value) {
  for (uint32_t i = 0; i < 4; i++)
    c->out[c->size++] = (uint8_t)(value >> (8u * i));
}

/* Make the reply a refusal: need, have, name. Returns status. */
int odl_refuse(odl_call_t *c, int status, uint32_t need, uint32_t have, const char *name);

/* Do what a request other than HELLO asks, writing the reply to c->out. Returns its status. */
int odl_obey(odl_call_t *c, uint8_t kind);

#endif
