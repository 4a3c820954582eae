import { streamContract } from "./stream-contract.js";
import {
  inMemory,
  inProcess,
  inProcessToLink,
  overHttp1,
  overHttp2,
  overLink,
  overMessagePorts,
} from "./transports.js";
import { unaryContract } from "./unary-contract.js";

// One line for each way in which a call travels.
const transports = {
  "in process": inProcess,
  "in process to a plugin on a link": inProcessToLink,
  "over connections in memory": inMemory,
  "over HTTP/1.1": overHttp1,
  "over HTTP/2": overHttp2,
  "over links on TCP": overLink("tcp"),
  "over links on a Unix socket": overLink("unix"),
  "over links on MessagePorts": overMessagePorts,
};

for (const [name, open] of Object.entries(transports)) {
  unaryContract(name, open);
  streamContract(name, open);
}
