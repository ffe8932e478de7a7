/** Where a command of Prisma 8 runs, and what it reads and writes. */
export interface Surroundings {
  cwd: string
  env: NodeJS.ProcessEnv
  stdin: NodeJS.ReadableStream
  stdout: NodeJS.WritableStream
  stderr: NodeJS.WritableStream
  exit(code: number): never
}

export function run(args: string[], where: Surroundings): Promise<number>
