import { kafkajsTransport } from '../../../src/transport/kafkajs/kafkajs.ts'
import { faultConformance } from '../fault-conformance.ts'

faultConformance('kafkajs', (brokers) => kafkajsTransport({ brokers }), {
  // It throws them for its own metadata request as well, in the same wrapping.
  doubts: ['UNKNOWN_TOPIC_OR_PARTITION'],
})
