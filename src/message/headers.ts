/** Names of the headers that the outbox writes itself; a message may not carry them. */
export const reservedHeaders = ['id', 'type', 'version', 'content-type', 'created-at'] as const

/** Content type of a value that is not marked otherwise: rows leave it out, the relay writes it. */
export const jsonContentType = 'application/json'
