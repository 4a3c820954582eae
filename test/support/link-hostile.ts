/**
 * What came up while the link was attacked, as hex, each after a good greeting. Whatever a session makes of it, it must not throw,
 * must not hold more than its limits, and must end its streams. Add what fuzzing finds.
 */
export const hostileLinkBytes: Readonly<Record<string, string>> = {
  "all ones": "ff".repeat(64),
  "all zeros": "00".repeat(64),
  "a request of HTTP": Buffer.from("GET / HTTP/1.1\r\nhost: x\r\n\r\n").toString("hex"),
  "a preface of HTTP/2": Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").toString("hex"),
  "an open without a payload": "01 00 000000 00000001",
  "an open whose section is longer than the frame": "01 03 000003 00000001 ffffff",
  "an open that counts more fields than could follow": "01 03 00000c 00000001 000009 00 00 04 2f ffffffff0f",
  "an end that says its message is huge": "01 08 00000f 00000001 000005 00 00 04 2f 00 000004 00 ffff7f",
  "an end that says its details are huge": "01 08 000010 00000001 000005 00 00 04 2f 00 000005 00 00 ffff7f",
  "a text of the table that stores itself beyond the section": "01 03 000008 00000001 000005 00 00 01 ff01",
  "a part for a stream that never was": "02 03 000004 00000063 61626364",
  "a head for a stream that never was, with a bad name": "02 04 000008 00000063 000005 01 04 41 04 41",
  "a window of the largest size, often": "06 00 000004 00000000 7fffffff".repeat(8),
  "a window for a stream that never was": "06 00 000004 00000009 00000001",
  "a reset of stream 0": "03 00 000002 00000000 0000",
  "a reset whose reason is not UTF-8": "01 00 000008 00000001 000005 00 00 04 2f 00 03 00 000004 00000001 0000 ff fe",
  "a go-away of an unknown kind": "07 00 000008 00000000 ffff 000000000000",
  "a go-away, and calls after it":
    "07 00 000008 00000000 0000 000000000000 01 03 000008 00000001 000005 00 00 04 2f 00",
  "a ping of nine bytes": "05 00 000009 00000000 000000000000000000",
  "messages cut and never finished": `01 00 000008 00000001 000005 00 00 04 2f 00 ${"02 00 000001 00000001 61".repeat(50)}`,
};
