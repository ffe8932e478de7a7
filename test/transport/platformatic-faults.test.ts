import { platformaticTransport } from '../../src/transport/platformatic.ts'
import { faultConformance } from './fault-conformance.ts'

faultConformance('platformatic', (brokers) => platformaticTransport({ brokers }))
