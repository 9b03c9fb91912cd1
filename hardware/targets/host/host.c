/* The server of hardware/odl as a library for this computer: bytes in, bytes out. The caller gives all memory. */
#include "odl_server.h"

#ifdef _WIN32
#define PUBLIC __declspec(dllexport)
#else
#define PUBLIC
#endif

enum { OUT = 65536 };

typedef struct {
  odl_server_t server;
  uint32_t out_bytes;
  uint8_t out[OUT];
} host_t;

static void write(void *context, const uint8_t *data, uint16_t n) {
  host_t *h = context;
  for (uint16_t i = 0; i < n && h->out_bytes < OUT; i++)
    h->out[h->out_bytes++] = data[i];
}

PUBLIC uint32_t host_bytes(void);
PUBLIC uint32_t host_bytes(void) { return (uint32_t)sizeof(host_t); }

/* h: host_bytes() bytes; room: room_bytes bytes; both aligned to 8. */
PUBLIC void host_open(host_t *h, uint8_t *room, uint32_t room_bytes);
PUBLIC void host_open(host_t *h, uint8_t *room, uint32_t room_bytes) {
  const odl_hal_t hal = {write, 0, 0, h, 0, "this computer"};
  odl_server_open(&h->server, &hal, room, room_bytes);
  h->out_bytes = 0;
}

/* Take in n bytes; returns how many the server sent for them, which then lie at host_out(h). At most 1024 at a time, so that all fits. */
PUBLIC uint32_t host_push(host_t *h, const uint8_t *data, uint32_t n);
PUBLIC uint32_t host_push(host_t *h, const uint8_t *data, uint32_t n) {
  h->out_bytes = 0;
  for (uint32_t i = 0; i < n; i++)
    odl_server_byte(&h->server, data[i]);
  return h->out_bytes;
}

PUBLIC const uint8_t *host_out(const host_t *h);
PUBLIC const uint8_t *host_out(const host_t *h) { return h->out; }
