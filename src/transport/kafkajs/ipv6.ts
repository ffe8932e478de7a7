// kafkajs takes a broker apart at its first colon, so that an IPv6 address goes through it under a name without colons; sockets are connected
// to the address again. The ending .invalid belongs to no host.

const ending = '.ipv6.invalid'

/** Brokers for kafkajs: `[::1]:9092` becomes a name. */
export const brokerNames = (brokers: readonly string[]): string[] =>
  brokers.map((broker) =>
    broker.replace(/^\[(.+)\](:\d+)$/, (_, address: string, port: string) => `${address.replaceAll(':', '-')}${ending}${port}`),
  )

/** The host to connect to. */
export const hostOf = (name: string): string =>
  name.endsWith(ending) ? name.slice(0, -ending.length).replaceAll('-', ':') : name
