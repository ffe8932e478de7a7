import { createHash } from 'node:crypto'

/** Half of the SHA-256 of bytes, in hexadecimal; `null` for a tombstone. Two values with one fingerprint are the same bytes. */
export const fingerprint = (bytes: Uint8Array | null): string =>
  bytes === null ? 'null' : createHash('sha256').update(bytes).digest('hex').slice(0, 32)

/** Bytes as text, one character each. */
export const latin1 = (bytes: Uint8Array | null): string | null =>
  bytes === null ? null : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
