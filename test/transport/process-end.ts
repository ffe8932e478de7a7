import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, inject } from 'vitest'
import { createTopic } from '../support/topics.ts'

/** A process that asks and writes through a transport of the sources, well and in vain, ends when it closes it, and has printed nothing; within `timeoutMs`. */
export async function expectProcessToEnd(
  create: 'kafkajsTransport' | 'platformaticTransport',
  file: string,
  timeoutMs: number,
): Promise<void> {
  const topic = await createTopic('exit', 1)
  const script = `
    import { ${create} } from './src/transport/${file}'
    const never = new AbortController().signal
    const transport = ${create}({ brokers: ['${inject('brokers').split(',')[0]}'] })
    await transport.connect(never)
    await transport.partitions('${topic}', never)
    const records = [{ key: null, value: new Uint8Array(3), headers: {} }]
    const good = await transport.publish({ topic: '${topic}', partition: 0, records }, 5000)
    const bad = await transport.publish({ topic: 'no spaces', partition: 0, records }, 5000)
    if (good.kind !== 'acked' || bad.kind !== 'not-written') process.exitCode = 3
    await transport.close()`
  const node = ['--import', 'tsx', '--input-type=module', '-e', script]
  expect(await promisify(execFile)(process.execPath, node, { timeout: timeoutMs })).toEqual({ stdout: '', stderr: '' })
}
