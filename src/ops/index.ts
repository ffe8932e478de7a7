export { inboxMetrics } from './inbox-metrics.ts'
export { relayMetrics } from './metrics.ts'
export { type SamplerOptions, startSampler } from './sampler.ts'
export { relayTraces } from './traces.ts'
