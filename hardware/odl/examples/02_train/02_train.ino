/* Trains: flash it once, then each lab pushes its own Program over the line, and its data behind it.
 *
 *   from odl_kit.devices.board import open_board
 *   with open_board("/dev/ttyACM0") as board:
 *       board.load(program)
 *       losses = board.train(x, y, lr=0.1)
 *
 * ROOM holds the Program and its arena. `odl board info` says how large it is; a Program that does not fit is refused, with the bytes that
 * are missing. Make it larger where your board has more. */
#include <odl_server.h>

#if defined(ARDUINO_ARCH_AVR)
#define ROOM 4096                             // a Mega has 8 KiB in all, its stack and two frames lie there too
#elif defined(ARDUINO_UNOR4_MINIMA) || defined(ARDUINO_UNOR4_WIFI)
#define ROOM 20480                            // of 32 KiB
#elif defined(ARDUINO_ARCH_MBED) || defined(ARDUINO_ARCH_RP2040) || defined(ARDUINO_ARCH_ESP32)
#define ROOM 163840                           // of 256 KiB and more, of which the core takes its part
#else
#define ROOM 16384
#endif

static odl_server_t server;
alignas(8) static uint8_t room[ROOM];

static void send(void *, const uint8_t *data, uint16_t n) { Serial.write(data, n); }

static uint32_t now(void *) { return micros(); }

void setup() {
  static const odl_hal_t hal = {send, now, nullptr, nullptr, 1000000u, "02_train"};
  Serial.begin(115200);
  odl_server_open(&server, &hal, room, sizeof room);
}

void loop() {
  while (Serial.available()) odl_server_byte(&server, (uint8_t)Serial.read());
}
