const loneSurrogate = /\p{Surrogate}/u
const utf8 = new TextEncoder()

/** Whether UTF-8 can hold the text. An unpaired surrogate would silently become U+FFFD, and two different keys one. */
export const isWellFormed = (text: string): boolean => !loneSurrogate.test(text)

/** The text as UTF-8 bytes. The caller has made sure that it {@link isWellFormed}. */
export const encodeText = (text: string): Uint8Array => utf8.encode(text)
