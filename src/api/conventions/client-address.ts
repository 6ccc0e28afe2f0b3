/**
 * Whose request it is. Behind a balancer named in `http.proxy_from` the connection's address is the balancer's, and `X-Forwarded-For` says the client's:
 * its last address that is no such balancer, since a client may write what it likes before what the balancers add. From anybody else the header says nothing.
 */
import type { IncomingMessage } from 'node:http';
import { createNetworkTest, plainAddress } from '#base/networks.ts';

export type ClientAddress = (request: IncomingMessage) => string;

/** Addresses of one header that are looked at. */
const HOPS_MAX = 20;

export function clientAddresses(proxyFrom: readonly string[]): ClientAddress {
  const isProxy = createNetworkTest(proxyFrom);
  return ({ socket, headers }) => {
    const peer = plainAddress(socket.remoteAddress ?? '');
    const forwarded = headers['x-forwarded-for'];
    if (proxyFrom.length === 0 || forwarded === undefined || !isProxy(peer)) return peer;
    const hops = (Array.isArray(forwarded) ? forwarded.join(',') : forwarded).split(',').slice(-HOPS_MAX);
    let client = peer;
    for (const hop of hops.toReversed()) {
      const address = plainAddress(withoutPort(hop.trim()));
      if (!ANY(address)) return client;
      client = address;
      if (!isProxy(address)) return client;
    }
    return client;
  };
}

const ANY = createNetworkTest(['0.0.0.0/0', '::/0']);

/** Some balancers add the port: "192.0.2.1:4711", "[2001:db8::1]:4711". */
function withoutPort(text: string): string {
  return /^\[([0-9a-f:.]+)\](?::\d{1,5})?$/i.exec(text)?.[1] ?? /^(\d{1,3}(?:\.\d{1,3}){3}):\d{1,5}$/.exec(text)?.[1] ?? text;
}
