/* The commands of a board: load a Program, train, predict, evaluate, read and write its tensors.

   The board only answers. A request carries the boot id that HELLO gave and the next sequence number; the reply repeats both. The same
   request again (a reply was lost) gets the same reply and does nothing twice. After a reset the boot id is 0, so that every command but
   HELLO is refused until the host has noticed. The Python twin is odl_kit/devices/board.py. */
#ifndef ODL_SERVER_H
#define ODL_SERVER_H
#include "odl.h"
#include "odl_wire.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ODL_SERVER_VERSION 1u

enum {                          /* payload of the request -> payload of the reply */
  ODL_HELLO = 1,              /* (boot id in the head) -> version u16, payload u16, boot id until now u32 */
  ODL_INFO = 2,               /* -> room u32, blob u32, arena u32, program crc u32, step u32, seed u32, name */
  ODL_LOAD_BEGIN = 3,         /* blob bytes u32, arena bytes u32 -> */
  ODL_LOAD_CHUNK = 4,         /* offset u32, bytes -> */
  ODL_LOAD_END = 5,           /* -> program crc u32; verifies */
  ODL_TRAIN = 6,              /* lr f32, steps x (input, labels s32), or lr alone: what WRITE brought -> loss f32 of each step */
  ODL_PREDICT = 7,            /* times x input -> times x logits; or nothing: what WRITE brought -> nothing, READ the logits */
  ODL_EVALUATE = 8,           /* examples of the last batch u32, times x (input, labels) or nothing -> correct u32, sum of losses f32 */
  ODL_READ = 9,               /* tensor u16, 0 u16, offset u32, count u32 -> bytes */
  ODL_WRITE = 10,             /* tensor u16, 0 u16, offset u32, bytes -> ; the input, the labels, or state */
  ODL_MEMORY = 11,            /* -> u32: blob, arena, static, stack size, stack peak, flash, room */
  ODL_COUNTERS = 12,          /* -> ticks of the last train, predict or evaluate u32, ticks a second u32 */
  ODL_SEEK = 13,              /* step u32, seed u32 -> */
  ODL_RESET = 14              /* -> ; forgets the program */
};

enum {                          /* status of a reply; but for the first, its payload is: need u32, have u32, name */
  ODL_E_NONE = 0,
  ODL_E_COMMAND = 1,          /* unknown kind */
  ODL_E_LENGTH = 2,           /* payload of the wrong length */
  ODL_E_SEQUENCE = 3,         /* neither the next nor the last sequence number */
  ODL_E_BOOT = 4,             /* another boot id: the board was reset, or another host said HELLO */
  ODL_E_NO_PROGRAM = 5,
  ODL_E_ROOM = 6,             /* too little memory */
  ODL_E_OFFSET = 7,           /* outside, or not the next piece */
  ODL_E_TENSOR = 8,           /* there is none, or it may not be written */
  ODL_E_NOT_WRITTEN = 9,      /* input or labels are not whole */
  ODL_E_VALUE = 10,           /* a label or learning rate that is not possible */
  ODL_E_PROGRAM = 32          /* + n: odl_open refused with error n */
};

#define ODL_WHOLE_STATE 0xFFFFu /* in READ and WRITE: all state as one block */

/* What a board has. Every function may be NULL but write. */
typedef struct {
  void (*write)(void *context, const uint8_t *data, uint16_t n);
  uint32_t (*ticks)(void *context);
  void (*memory)(void *context, uint32_t out[4]);    /* static, stack size, stack peak, flash: bytes */
  void *context;
  uint32_t ticks_a_second;
  const char *name;                                   /* at most 63 characters */
} odl_hal_t;

typedef struct {
  odl_hal_t hal;
  uint8_t *room;              /* the Program and behind it its arena; aligned to 8 */
  uint32_t room_bytes, blob_bytes, arena_bytes, received;
  uint32_t boot, input_written, labels_written, ticks;
  uint16_t sequence;
  uint8_t loaded, answered;
  uint32_t request_crc;       /* of the request that tx answers */
  odl_t engine;
  odl_frame_t rx, tx;
} odl_server_t;

/* s: any bytes. room: aligned to 8, room_bytes long, the server's own from now on. */
void odl_server_open(odl_server_t *s, const odl_hal_t *hal, uint8_t *room, uint32_t room_bytes);

/* Take in one byte; when it ends a frame, do what it asks and answer by hal.write. */
void odl_server_byte(odl_server_t *s, uint8_t byte);

#ifdef __cplusplus
}
#endif
#endif
