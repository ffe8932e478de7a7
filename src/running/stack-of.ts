/** Where an error was thrown, for events and logs: its name and the beginning of its stack. Without its message, which may hold data. */
export function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return 'not an error'
  const { name, message, stack = '' } = error
  // The message stands in front of the frames, and may have lines that look like some.
  const frames = stack.slice(message === '' ? 0 : stack.indexOf(message) + message.length).split('\n')
  return [name, ...frames.filter((line) => /^\s+at /.test(line)).slice(0, 5)].join('\n')
}
