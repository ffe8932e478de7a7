import { Program } from './program.ts'

/** A short lease, the least that there is, in ms: nobody wants to wait ten seconds to see that a relay has been replaced. */
export const shortLeaseMs = 3_000

/**
 * The relay as it is run in production: the command line's `relay`, in a process of its own. Default lease: that of the relay. With a port
 * it serves the dashboard there.
 */
export function relayProgram(databaseUrl: string, brokers: string, leaseMs?: number, port?: number): Program {
  const lease = leaseMs === undefined ? [] : ['--lease-ms', String(leaseMs)]
  const listen = port === undefined ? [] : ['--listen', `127.0.0.1:${port}`, '--dashboard', 'payload']
  const env = { DATABASE_URL: databaseUrl, KAFKA_BROKERS: brokers }
  return new Program(new URL('../src/cli/main.ts', import.meta.url), { args: ['relay', ...lease, ...listen], env })
}
