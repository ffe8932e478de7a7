import type { Consumer, EachBatchPayload, Kafka, KafkaMessage } from 'kafkajs'
import { z } from 'zod'

const order = z.object({ id: z.int(), customer: z.email(), sku: z.string(), quantity: z.int() })

/** A confirmation as it would be mailed. */
export type Confirmation = z.infer<typeof order>

/** What the mail service needs from its surroundings. */
export interface MailOptions {
  kafka: Kafka
  topic: string
  /** Sends a confirmation. Default: prints it. */
  send?: (confirmation: Confirmation) => void
  /** Told for every record: whether it was new or had been seen before. */
  onRecord?: (record: { duplicate: boolean }) => void
}

const print = ({ customer, quantity, sku, id }: Confirmation) =>
  console.log(`To ${customer}: thank you for your order ${id}, ${quantity} × ${sku}.`)

/** The mail service: confirms every placed order, once. Disconnect the consumer to stop it. */
export async function startMail({ kafka, topic, send = print, onRecord = () => {} }: MailOptions): Promise<Consumer> {
  // The relay delivers at least once; every copy has the same `id` header. A set in memory forgets with the process: the inbox of this
  // package will keep it in the consumer's own database.
  const seen = new Set<string>()
  const deliver = (message: KafkaMessage) => {
    const id = String(message.headers?.id)
    const duplicate = seen.has(id)
    if (!duplicate) confirm(message, send)
    seen.add(id)
    onRecord({ duplicate })
  }
  const consumer = kafka.consumer({ groupId: `mail-${topic}`, maxWaitTimeInMs: 250 })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  // Not eachMessage, and nothing here throws: an error that reaches kafkajs takes the whole consumer away, all partitions of it.
  await consumer.run({ eachBatchAutoResolve: false, eachBatch: (payload) => eachBatch(payload, deliver) })
  return consumer
}

async function eachBatch(payload: EachBatchPayload, deliver: (message: KafkaMessage) => void): Promise<void> {
  const { batch, resolveOffset, pause } = payload
  for (const message of batch.messages) {
    if (!payload.isRunning() || payload.isStale()) return
    try {
      deliver(message)
    } catch {
      // Tried again from this message on; the other partitions go on.
      setTimeout(pause(), 1_000)
      return
    }
    resolveOffset(message.offset)
  }
}

function confirm(message: KafkaMessage, send: (confirmation: Confirmation) => void): void {
  const parsed = order.safeParse(readJson(message.value))
  // What is no order now will be none later: trying again would only hold up those behind it.
  if (parsed.success) send(parsed.data)
}

function readJson(value: Buffer | null): unknown {
  try {
    return JSON.parse(String(value))
  } catch {
    return undefined
  }
}
