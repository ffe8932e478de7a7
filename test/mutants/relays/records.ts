import pg from 'pg'
import { encodeMessage } from '../../../src/message/message.ts'
import { proofStatements } from '../../../src/proof/statements.ts'
import type { Way } from '../../../src/proof/writers.ts'
import type { Mutant } from '../mutant.ts'

const asStored = '  return { key: row.key, value: row.value, headers }'

/** Relays that write other bytes or elsewhere, and an application that enqueues outside its transaction. */
export const recordMutants: Record<string, Mutant> = {
  'nul-stripping': {
    what: 'takes bytes of value 0 out of payloads, as databases do that store them as text',
    faults: ['relay-sigterm'],
    edits: {
      file: 'relay/publish/record.ts',
      from: asStored,
      to: '  return { key: row.key, value: row.value === null ? null : row.value.filter((byte) => byte !== 0), headers }',
    },
  },
  'jsonb-payload': {
    what: 'stores payloads as jsonb, which puts their fields in another order',
    faults: ['relay-sigterm'],
    edits: {
      file: 'relay/publish/record.ts',
      from: asStored,
      to: `  const sorted = (text: string) => JSON.stringify(Object.fromEntries(Object.entries(JSON.parse(text)).sort(([a], [b]) => a.length - b.length)))
  const isObject = row.value !== null && row.value[0] === 0x7b && headers['content-type'] === jsonContentType
  return { key: row.key, value: isObject ? Buffer.from(sorted(Buffer.from(row.value!).toString())) : row.value, headers }`,
    },
  },
  'crc32-partitioner': {
    what: 'places keys by CRC-32 and not by the hash of the Java client',
    faults: ['relay-sigterm'],
    edits: [
      {
        file: 'relay/publish/topic.ts',
        from: 'import { placementHash }',
        to: "import { crc32 } from 'node:zlib'\nimport { placementHash }",
      },
      {
        file: 'relay/publish/topic.ts',
        from: 'placementHash(row.topic, row.key) %',
        to: '(row.key === null ? placementHash(row.topic, null) : crc32(row.key)) %',
      },
    ],
  },
  'enqueue-outside': {
    what: 'an application that enqueues on another connection than its transaction',
    faults: ['relay-sigterm'],
    way: (real, databaseUrl) => enqueueingOutside(real, databaseUrl),
  },
}

function enqueueingOutside(real: Way, databaseUrl: string): Way {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 2 })
  pool.on('error', () => {})
  const { enqueue } = proofStatements('public')
  return {
    name: real.name,
    run: (work) =>
      real.run((tx) =>
        work({
          query: (sql, values) => tx.query(sql, values),
          enqueue(message) {
            const { bucket, messageId, topic, type, key, value, headers } = encodeMessage(message)
            return pool.query(enqueue, [bucket, messageId, topic, type, key, value, headers])
          },
        }),
      ),
    async close() {
      await real.close()
      await pool.end()
    },
  }
}
