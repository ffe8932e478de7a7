import { platformaticTransport } from '../../../src/transport/platformatic/platformatic.ts'
import { faultConformance } from '../fault-conformance.ts'

faultConformance('platformatic', (brokers) => platformaticTransport({ brokers }))
