/* Says who it is: flash this first, then ask it from the computer:
 *
 *   odl board list                       which ports have a board
 *   odl board info /dev/ttyACM0          or COM5, or what `list` printed
 *
 * The LED is on while the board works on a request. It has no room for a Program yet: 02_train has. */
#include <odl_server.h>

static odl_server_t server;
alignas(8) static uint8_t room[64];

static void send(void *, const uint8_t *data, uint16_t n) { Serial.write(data, n); }

static uint32_t now(void *) { return micros(); }

void setup() {
  static const odl_hal_t hal = {send, now, nullptr, nullptr, 1000000u, "01_meet_the_board"};
  pinMode(LED_BUILTIN, OUTPUT);
  Serial.begin(115200);                       // over USB the number does not count
  odl_server_open(&server, &hal, room, sizeof room);
}

void loop() {
  while (Serial.available()) {
    digitalWrite(LED_BUILTIN, HIGH);
    odl_server_byte(&server, (uint8_t)Serial.read());
  }
  digitalWrite(LED_BUILTIN, LOW);
}
