import type { Styler } from './output.ts'

/** What a command has of the process. */
export interface CommandContext {
  readonly style: Styler
  write(text: string): void
  /** Told the exit code of the command. */
  ended(exitCode: number): void
}
