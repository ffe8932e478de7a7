import type { RelayPorts } from '../../../src/relay/relay.ts'
import type { Outcome, TransportBatch } from '../../../src/transport/transport.ts'
import type { Mutant } from '../mutant.ts'

/** Relays that send, settle or dead-letter wrongly. */
export const sendingMutants: Record<string, Mutant> = {
  'delete-before-ack': {
    what: 'deletes rows before Kafka has acknowledged them',
    faults: ['kafka-all-refuse', 'relay-sigkill'],
    edits: {
      file: 'relay/publish/lane.ts',
      from: '    this.#request = request\n',
      to: '    this.#request = request\n    this.#context.state.acked.push(batch)\n',
    },
  },
  'ack-on-timeout': {
    what: 'takes an unknown outcome for an acknowledgement',
    faults: ['broker-sigstop', 'kafka-all-black-hole', 'kafka-reset'],
    edits: {
      file: 'relay/publish/lane.ts',
      from: "    if (outcome.kind === 'acked') {\n      this.#acknowledged(batch)",
      to: "    if (outcome.kind === 'acked' || outcome.kind === 'unknown') {\n      this.#acknowledged(batch)",
    },
  },
  'continue-after-refused': {
    what: 'goes on with a key after one of its records was refused',
    faults: ['poison-too-large'],
    edits: { file: 'relay/state/moves.ts', from: '    if (blocksKey) row.claim.block(row.topic, row.key, row.id)\n', to: '' },
  },
  'two-in-flight': {
    what: 'sends the next batch of a partition before the last one is answered, without idempotence',
    faults: ['kafka-reset', 'kafka-all-refuse', 'broker-sigkill'],
    edits: {
      file: 'relay/publish/lane.ts',
      from: '    if (batch.length > 0) return this.#send(batch)\n',
      to: '    if (batch.length > 0) void this.#send(batch)\n',
    },
  },
  'numbers-reused': {
    what: 'gives each batch of a lane the numbers of the first one: the partition acknowledges it and drops it',
    faults: ['kafka-reset', 'kafka-all-refuse', 'relay-sigkill'],
    edits: { file: 'relay/publish/sequence.ts', from: '    this.#next += records\n', to: '' },
  },
  'shared-sequence': {
    what: 'answers a second concurrent send of a topic with the acknowledgement of the first and does not send it, as clients did that share one idempotent sequence',
    faults: ['kafka-delay'],
    ports: (real) => ({ ...real, transport: sharingAnswers(real.transport) }),
  },
}

function sharingAnswers(transport: RelayPorts['transport']): RelayPorts['transport'] {
  const underWay = new Map<string, Promise<Outcome>>()
  return {
    name: transport.name,
    connect: (signal) => transport.connect(signal),
    partitions: (topic, signal) => transport.partitions(topic, signal),
    allPartitions: (topics, signal) => transport.allPartitions(topics, signal),
    close: () => transport.close(),
    publish(batch: TransportBatch, timeoutMs) {
      const first = underWay.get(batch.topic)
      if (first) return first
      const outcome = transport.publish(batch, timeoutMs).finally(() => underWay.delete(batch.topic))
      underWay.set(batch.topic, outcome)
      return outcome
    },
  }
}
