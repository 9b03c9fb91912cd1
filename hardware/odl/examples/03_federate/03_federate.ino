/* One of several boards on one computer, each a client of federated learning: the same commands as 02_train, and a name by which the
 * computer knows its clients apart. Flash every board with a CLIENT of its own. The labels and inputs of a client stay on its side: what it
 * hands on is `board.update(w, x, y, lr=...)`, the difference between its weights after training and before.
 *
 *   boards = [open_board(port) for port in ("/dev/ttyACM0", "/dev/ttyACM1")]
 *   updates = [board.update(w, x[i], y[i], lr=0.1) for i, board in enumerate(boards)]
 *
 * When a client works its LED is on, so that a class sees who trains. */
#include <odl_server.h>

#define CLIENT "03_federate, client 1"

#if defined(ARDUINO_ARCH_AVR)
#define ROOM 4096
#elif defined(ARDUINO_UNOR4_MINIMA) || defined(ARDUINO_UNOR4_WIFI)
#define ROOM 20480
#elif defined(ARDUINO_ARCH_MBED) || defined(ARDUINO_ARCH_RP2040) || defined(ARDUINO_ARCH_ESP32)
#define ROOM 163840
#else
#define ROOM 16384
#endif

static odl_server_t server;
alignas(8) static uint8_t room[ROOM];

static void send(void *, const uint8_t *data, uint16_t n) { Serial.write(data, n); }

static uint32_t now(void *) { return micros(); }

void setup() {
  static const odl_hal_t hal = {send, now, nullptr, nullptr, 1000000u, CLIENT};
  pinMode(LED_BUILTIN, OUTPUT);
  Serial.begin(115200);
  odl_server_open(&server, &hal, room, sizeof room);
}

void loop() {
  while (Serial.available()) {
    digitalWrite(LED_BUILTIN, HIGH);
    odl_server_byte(&server, (uint8_t)Serial.read());
  }
  digitalWrite(LED_BUILTIN, LOW);
}
