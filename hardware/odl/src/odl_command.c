/* What a board does with a request: see odl_server.h. */
#include "odl_command.h"

static void put_float(odl_call_t *c, float value) {
  odl_copy(c->out + c->size, (const uint8_t *)&value, 4);
  c->size += 4;
}

static void put_name(odl_call_t *c, const char *name) {
  for (uint32_t i = 0; name && name[i] && i < 63u; i++)
    c->out[c->size++] = (uint8_t)name[i];
}

int odl_refuse(odl_call_t *c, int status, uint32_t need, uint32_t have, const char *name) {
  c->size = 0;
  odl_put32(c, need);
  odl_put32(c, have);
  put_name(c, name);
  return status;
}

static int need_length(odl_call_t *c, uint32_t n) { return c->n == n ? ODL_E_NONE : odl_refuse(c, ODL_E_LENGTH, n, c->n, "length"); }

static void forget(odl_server_t *s) {
  s->loaded = 0;
  s->blob_bytes = s->arena_bytes = s->received = s->input_written = s->labels_written = s->ticks = 0;
}

static int info(odl_call_t *c) {
  odl_server_t *s = c->s;
  odl_put32(c, s->room_bytes);
  odl_put32(c, s->blob_bytes);
  odl_put32(c, s->arena_bytes);
  odl_put32(c, s->loaded ? s->engine.header->crc32 : 0);
  odl_put32(c, s->loaded ? s->engine.step : 0);
  odl_put32(c, s->loaded ? s->engine.seed : 0);
  put_name(c, s->hal.name);
  return ODL_E_NONE;
}

/* The blob lies at the start of the room, its arena behind it, at a multiple of 8. */
static uint32_t arena_at(const odl_server_t *s) { return (s->blob_bytes + 7u) & ~(uint32_t)7u; }

static int load_begin(odl_call_t *c) {
  odl_server_t *s = c->s;
  if (need_length(c, 8))
    return ODL_E_LENGTH;
  uint32_t blob = odl_get32(c->in), arena = odl_get32(c->in + 4);
  if (blob > s->room_bytes || arena > s->room_bytes || ((blob + 7u) & ~(uint32_t)7u) > s->room_bytes - arena)
    return odl_refuse(c, ODL_E_ROOM, blob > UINT32_MAX - arena ? UINT32_MAX : blob + arena, s->room_bytes, "room");
  forget(s);
  s->blob_bytes = blob;
  s->arena_bytes = arena;
  return ODL_E_NONE;
}

static int load_chunk(odl_call_t *c) {
  odl_server_t *s = c->s;
  if (c->n < 4)
    return need_length(c, 4);
  uint32_t n = c->n - 4u;
  if (s->loaded || odl_get32(c->in) != s->received || n > s->blob_bytes - s->received)
    return odl_refuse(c, ODL_E_OFFSET, s->received, odl_get32(c->in), "chunk");
  odl_copy(s->room + s->received, c->in + 4, n);
  s->received += n;
  return ODL_E_NONE;
}

static int load_end(odl_call_t *c) {
  odl_server_t *s = c->s;
  if (s->loaded || s->blob_bytes == 0 || s->received != s->blob_bytes)
    return odl_refuse(c, ODL_E_OFFSET, s->blob_bytes, s->received, "end");
  int error = odl_open(&s->engine, s->room, s->blob_bytes, 0, s->room + arena_at(s), s->room_bytes - arena_at(s));
  if (error) {
    forget(s);
    return odl_refuse(c, ODL_E_PROGRAM + error, 0, 0, odl_error_name(error));
  }
  s->loaded = 1;
  odl_put32(c, s->engine.header->crc32);
  return ODL_E_NONE;
}

static int labels_possible(const uint8_t *labels, uint32_t bytes, uint32_t classes) {
  for (uint32_t i = 0; i < bytes; i += 4)
    if (odl_get32(labels + i) >= classes)       /* a negative label is a large one here */
      return 0;
  return 1;
}

/* Train, predict or evaluate on the examples in the payload, or with none on what WRITE brought. */
static int run(odl_call_t *c, uint8_t kind) {
  odl_server_t *s = c->s;
  odl_t *e = &s->engine;
  const odl_header_t *h = e->header;
  if (kind != ODL_PREDICT && !odl_tensor(e, h->labels))
    return odl_refuse(c, ODL_E_TENSOR, 0, 0, "this program only predicts");
  const uint32_t input = odl_tensor(e, h->input)->nbytes, labels = kind == ODL_PREDICT ? 0 : odl_tensor(e, h->labels)->nbytes;
  const uint32_t logits = odl_tensor(e, h->logits)->nbytes, classes = odl_tensor(e, h->logits)->dims[3], piece = input + labels;
  uint32_t times = 1, correct = 0, last = 0;
  float lr = 0.0f, losses = 0.0f;
  if (kind == ODL_TRAIN) {
    if (c->n < 4)
      return need_length(c, 4);
    odl_copy((uint8_t *)&lr, c->in, 4);
    if ((odl_get32(c->in) & 0x7F800000u) == 0x7F800000u)        /* infinite, or not a number */
      return odl_refuse(c, ODL_E_VALUE, 0, odl_get32(c->in), "learning rate");
  }
  if (kind == ODL_EVALUATE && (last = c->n < 4 ? 0 : odl_get32(c->in), last == 0 || last > h->batch))
    return odl_refuse(c, ODL_E_VALUE, h->batch, last, "count");
  if (kind != ODL_PREDICT) {
    c->in += 4;
    c->n -= 4;
  }
  if (c->n) {
    times = c->n / piece;
    if (c->n % piece || (kind == ODL_PREDICT && times * logits > ODL_WIRE_PAYLOAD))
      return odl_refuse(c, ODL_E_LENGTH, piece, c->n, "examples");
  } else if (s->input_written != input || (labels && s->labels_written != labels)) {
    return odl_refuse(c, ODL_E_NOT_WRITTEN, piece, s->input_written + s->labels_written, "input and labels");
  }
  for (uint32_t i = 0; labels && i < times; i++)
    if (!labels_possible(c->n ? c->in + i * piece + input : odl_data(e, h->labels), labels, classes))
      return odl_refuse(c, ODL_E_VALUE, classes, i, "label");

  uint32_t begun = s->hal.ticks ? s->hal.ticks(s->hal.context) : 0;
  s->input_written = s->labels_written = 0;       /* what runs now may overwrite them */
  for (uint32_t i = 0; i < times; i++) {
    if (c->n) {
      odl_copy(odl_data(e, h->input), c->in + i * piece, input);
      odl_copy(odl_data(e, h->labels), c->in + i * piece + input, labels);
    }
    if (kind == ODL_TRAIN) {
      put_float(c, odl_step(e, lr));
      continue;
    }
    odl_forward(e);
    if (kind == ODL_EVALUATE)
      correct += odl_score(e, i + 1 < times ? h->batch : last, &losses);
    else if (c->n) {
      odl_copy(c->out + c->size, odl_data(e, h->logits), logits);
      c->size += logits;
    }
  }
  s->ticks = s->hal.ticks ? s->hal.ticks(s->hal.context) - begun : 0;
  if (kind == ODL_EVALUATE) {
    odl_put32(c, correct);
    put_float(c, losses);
  }
  return ODL_E_NONE;
}

/* Bytes [offset, offset + count) of a tensor, or of the whole state; NULL and a refusal in *status if they are not there. */
static uint8_t *tensor_bytes(odl_call_t *c, uint32_t offset, uint32_t count, int *status) {
  odl_server_t *s = c->s;
  uint32_t number = odl_get16(c->in), size = 0;
  uint8_t *data = 0;
  if (number == ODL_WHOLE_STATE) {
    data = s->engine.state;
    size = s->engine.header->state_bytes;
  } else if (odl_tensor(&s->engine, (uint16_t)number)) {
    data = odl_data(&s->engine, (uint16_t)number);
    size = odl_tensor(&s->engine, (uint16_t)number)->nbytes;
  }
  *status = !data ? odl_refuse(c, ODL_E_TENSOR, s->engine.header->num_tensors, number, "tensor")
          : offset > size || count > size - offset ? odl_refuse(c, ODL_E_OFFSET, size, offset, "tensor") : ODL_E_NONE;
  return *status ? 0 : data + offset;
}

static int read_tensor(odl_call_t *c) {
  int status = need_length(c, 12);
  if (status)
    return status;
  uint32_t count = odl_get32(c->in + 8);
  if (count > ODL_WIRE_PAYLOAD)
    return odl_refuse(c, ODL_E_LENGTH, ODL_WIRE_PAYLOAD, count, "count");
  const uint8_t *from = tensor_bytes(c, odl_get32(c->in + 4), count, &status);
  if (!status) {
    odl_copy(c->out, from, count);
    c->size = count;
  }
  return status;
}

static int write_tensor(odl_call_t *c) {
  odl_server_t *s = c->s;
  if (c->n < 8)
    return need_length(c, 8);
  uint32_t number = odl_get16(c->in), offset = odl_get32(c->in + 4), n = c->n - 8u;
  int status;
  uint8_t *to = tensor_bytes(c, offset, n, &status);
  if (status)
    return status;
  uint32_t *written = number == s->engine.header->input ? &s->input_written : number == s->engine.header->labels ? &s->labels_written : 0;
  if (written) {                                  /* in order, so that one count says whether all is there */
    if (offset && offset != *written)
      return odl_refuse(c, ODL_E_OFFSET, *written, offset, "input or labels");
    *written = offset + n;
  } else if (number != ODL_WHOLE_STATE && odl_tensor(&s->engine, (uint16_t)number)->place != ODL_STATE) {
    return odl_refuse(c, ODL_E_TENSOR, 0, number, "only state, input and labels can be written");
  }
  odl_copy(to, c->in + 8, n);
  return ODL_E_NONE;
}

static int memory(odl_call_t *c) {
  odl_server_t *s = c->s;
  uint32_t own[4] = {0, 0, 0, 0};
  if (s->hal.memory)
    s->hal.memory(s->hal.context, own);
  odl_put32(c, s->blob_bytes);
  odl_put32(c, s->arena_bytes);
  for (uint32_t i = 0; i < 4; i++)
    odl_put32(c, own[i]);
  odl_put32(c, s->room_bytes);
  return ODL_E_NONE;
}

static int seek(odl_call_t *c) {
  int status = need_length(c, 8);
  if (!status) {
    c->s->engine.step = odl_get32(c->in);
    c->s->engine.seed = odl_get32(c->in + 4);
  }
  return status;
}

static int with_program(odl_call_t *c, uint8_t kind) {
  if (!c->s->loaded)
    return odl_refuse(c, ODL_E_NO_PROGRAM, 0, 0, "no program");
  switch (kind) {
  case ODL_READ: return read_tensor(c);
  case ODL_WRITE: return write_tensor(c);
  case ODL_SEEK: return seek(c);
  default: return run(c, kind);
  }
}

int odl_obey(odl_call_t *c, uint8_t kind) {
  switch (kind) {
  case ODL_INFO: return info(c);
  case ODL_LOAD_BEGIN: return load_begin(c);
  case ODL_LOAD_CHUNK: return load_chunk(c);
  case ODL_LOAD_END: return load_end(c);
  case ODL_MEMORY: return memory(c);
  case ODL_COUNTERS: odl_put32(c, c->s->ticks); odl_put32(c, c->s->hal.ticks_a_second); return ODL_E_NONE;
  case ODL_RESET: forget(c->s); return ODL_E_NONE;
  case ODL_TRAIN: case ODL_PREDICT: case ODL_EVALUATE: case ODL_READ: case ODL_WRITE: case ODL_SEEK: return with_program(c, kind);
  default: return odl_refuse(c, ODL_E_COMMAND, ODL_RESET, kind, "command");
  }
}

