import { Command } from 'commander'
import { exitCodes } from './exit-codes.ts'
import { type Flags, given } from './given.ts'
import { prismaHelp } from './help.ts'
import { print } from './print.ts'
import { addFlags, settings } from './settings.ts'

/** Milliseconds for the answer; the server itself gives up after five seconds. */
const answerMs = 6_000

/** Addresses that mean "every one of this machine" when listened on, and nothing when asked. */
const anyHost: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '[::1]' }

/** The command `healthcheck`: a probe for images that have no other HTTP client. */
export function healthcheckCommand(): Command {
  const command = new Command('healthcheck')
    .description('Ask a running relay whether it lives, or whether it is ready: exit code 0, otherwise 1')
    .option('--ready', 'Ask /readyz, not /livez')
  const { otherwise: _, ...listen } = settings.listen
  addFlags(command, { listen: { ...listen, what: 'Address that the relay listens on' } })
  command.action(async (flags: Flags) => {
    process.exitCode = await ask(flags)
  })
  return prismaHelp(command, [
    ['In a Dockerfile, where OUTBOX_LISTEN is set', ''],
    ['Whether database, tables and Kafka are there', '--ready --listen 9464'],
  ])
}

async function ask(flags: Flags): Promise<number> {
  const listen = given(flags, process.env).need('listen')
  const host = anyHost[listen.host] ?? (listen.host.includes(':') ? `[${listen.host}]` : listen.host)
  try {
    const page = flags.ready === true ? 'readyz' : 'livez'
    const response = await fetch(`http://${host}:${listen.port}/${page}`, { signal: AbortSignal.timeout(answerMs) })
    print((await response.text()).trim())
    return response.ok ? exitCodes.done : exitCodes.failed
  } catch (error) {
    const { cause, name } = error as { cause?: { code?: string }; name: string }
    print(`No answer of a relay (${cause?.code ?? name}).`)
    return exitCodes.failed
  }
}
