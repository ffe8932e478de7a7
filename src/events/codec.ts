/**
 * How payloads become bytes, where JSON is not wanted: Avro or Protobuf, with or without a schema registry. `encode` runs before the
 * INSERT, inside the transaction: what it asks a registry for should be there already, or the transaction waits for it.
 */
export interface Codec {
  /** Kafka header `content-type` of what it writes, for example `application/vnd.confluent.avro`. */
  contentType: string
  /** The bytes of a payload that its schema has accepted, always of the newest version. */
  encode(payload: unknown, event: EncodedEvent): Uint8Array | Promise<Uint8Array>
  /** The payload of what `encode` wrote, of any version; its schema is asked afterwards. */
  decode(bytes: Uint8Array, event: EncodedEvent): unknown
}

/** Which event a payload belongs to. */
export interface EncodedEvent {
  topic: string
  /** Name in the catalog. */
  type: string
  /** Number of the version, from 1. */
  version: number
}
