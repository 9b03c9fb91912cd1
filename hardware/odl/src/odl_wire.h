/* Frames on a serial line. C99, no libc, no malloc.

   frame = 00 | COBS(kind u8 | status u8 | seq u16 | boot u32 | payload | crc32 u32) | 00, little-endian. COBS (Cheshire and Baker 1999)
   rewrites the bytes so that 00 stands only between frames: after any noise the next 00 is a fresh start. crc32 is zlib's, over all that
   precedes it. The Python twin is odl_kit/devices/wire.py. */
#ifndef ODL_WIRE_H
#define ODL_WIRE_H
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef ODL_WIRE_PAYLOAD
#define ODL_WIRE_PAYLOAD 512u   /* bytes; a board with little RAM may take less, HELLO tells the host */
#endif
#define ODL_WIRE_HEAD 8u
#define ODL_WIRE_CRC 4u
#define ODL_WIRE_MAX (ODL_WIRE_HEAD + ODL_WIRE_PAYLOAD + ODL_WIRE_CRC)

/* A frame while its bytes come in, and the whole of it afterwards. All zero is a fresh start. */
typedef struct {
  uint32_t words[(ODL_WIRE_MAX + 3u) / 4u];   /* kind | status | seq | boot | payload: aligned for the floats in the payload */
  uint16_t size;                              /* bytes of head and payload of the whole frame */
  uint16_t length;                            /* bytes so far */
  uint8_t left;                               /* bytes to come in this block of COBS */
  uint8_t zero;                               /* does a 00 stand between this block and the next? */
  uint8_t bad;                                /* too long: wait for the next 00 */
} odl_frame_t;

/* Take in one byte. 1: a whole, undamaged frame lies in f->words, f->size bytes without its CRC; else 0. Damaged frames vanish. */
int odl_wire_push(odl_frame_t *f, uint8_t byte);

/* Send f, whose f->size bytes stand in f->words: adds the CRC, encodes, hands pieces of at most 255 bytes to write(context, piece, n). */
void odl_wire_send(odl_frame_t *f, void (*write)(void *context, const uint8_t *data, uint16_t n), void *context);

#ifdef __cplusplus
}
#endif
#endif
