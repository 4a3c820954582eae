// A moleculer node that knows its only peer beforehand, over its TCP transporter and its JSON serializer.
import moleculer from "moleculer";

/** `ports` are those of the server and of the client. */
export function moleculerNode(nodeID, [serverPort, clientPort]) {
  return new moleculer.ServiceBroker({
    nodeID,
    logger: false,
    skipProcessEventRegistration: true,
    transporter: {
      type: "TCP",
      options: {
        udpDiscovery: false,
        useHostname: false,
        urls: [`tcp://127.0.0.1:${serverPort}/server`, `tcp://127.0.0.1:${clientPort}/client`],
      },
    },
  });
}
