/** What a shell may put in place of the last word. */
export interface Completion {
  readonly candidates: readonly Candidate[]
  /** What else may stand there. */
  readonly files: 'none' | 'any' | 'folders'
}

interface Candidate {
  readonly word: string
  readonly description: string
}

/** What completion is told of the program and of the place where it runs. */
export interface CompletionSources {
  /** The help of a command, which may be one of another command; each entry on one line. */
  help(commands: readonly string[]): Promise<string>
  /** Names that an option or argument may have here, such as those of pods; `undefined` when they are no names. */
  names(what: string, words: readonly string[]): Promise<readonly string[] | undefined>
}

/** An option as the help tells of it. */
interface HelpOption {
  readonly names: readonly string[]
  readonly description: string
  readonly isFlag: boolean
  readonly isRepeatable: boolean
  readonly choices: readonly string[]
}

/** Options and arguments whose value is a folder. */
const FOLDER = /-dir$|^--(?:manifests|pictures)$/

/**
 * Completes a command line from the help of the program, so that nothing can be forgotten here.
 *
 * @param words After the program's name; the last one is to be completed, and may be empty.
 */
export async function completeWords(
  words: readonly string[],
  sources: CompletionSources,
): Promise<Completion> {
  const current = words.at(-1) ?? ''
  const before = words.slice(0, -1)
  const { path, given, help, commands } = await findCommand(before, sources)
  const options = readOptions(help)
  const optionOf = (word: string | undefined): HelpOption | undefined =>
    word === undefined ? undefined : options.find(({ names }) => names.includes(word))

  const [name, start] = /^(--[^=]+)=(.*)$/s.exec(current)?.slice(1) ?? []
  if (name !== undefined) {
    const { candidates, files } = await completeValue(optionOf(name), start ?? '', before, sources)
    return {
      candidates: candidates.map(({ word, ...rest }) => ({ word: `${name}=${word}`, ...rest })),
      files,
    }
  }
  const waiting = optionOf(before.at(-1))
  if (waiting !== undefined && !waiting.isFlag) return await completeValue(waiting, current, before, sources)
  if (current.startsWith('-')) {
    const free = options.filter(
      ({ names, isRepeatable }) => isRepeatable || !names.some((each) => before.includes(each)),
    )
    const candidates = free.flatMap(({ names, description }) =>
      names.map((word) => ({ word, description })).filter(({ word }) => word.startsWith('--')),
    )
    return { candidates: starting(candidates, current), files: 'none' }
  }
  if (path.length === 0 || commands.length > 0)
    return { candidates: starting(commands, current), files: 'none' }
  return await completeArgument(help, current, { before, given, options, sources })
}

/** The command that is called, the words after its name, its help, and the commands that it has itself. */
async function findCommand(words: readonly string[], sources: CompletionSources) {
  const path: string[] = []
  let given = words
  for (;;) {
    const help = await sources.help(path)
    const commands = readCommands(help, path)
    const names = commands.map(({ word }) => word)
    const options = readOptions(help)
    const index = given.findIndex((word, at) => names.includes(word) && !isValue(given, at, options))
    const word = given[index]
    if (word === undefined) return { path, given, help, commands }
    path.push(word)
    given = given.slice(index + 1)
  }
}

/** Whether a word is the value of the option before it. */
function isValue(words: readonly string[], index: number, options: readonly HelpOption[]): boolean {
  const option = options.find(({ names }) => names.includes(words[index - 1] ?? ''))
  return option?.isFlag === false
}

/** As a line each, word and description apart by a tab, then the directive; the protocol of Cobra and kubectl. */
export function formatCompletion({ candidates, files }: Completion): string {
  const directive = { any: 0, none: 4, folders: 16 }[files]
  const oneLine = (text: string): string => text.replace(/\s+/g, ' ')
  return [
    ...candidates.map(({ word, description }) => `${oneLine(word)}\t${oneLine(description)}\n`),
    `:${directive}\n`,
  ].join('')
}

async function completeValue(
  option: HelpOption | undefined,
  current: string,
  before: readonly string[],
  sources: CompletionSources,
): Promise<Completion> {
  const name = option?.names.find((each) => each.startsWith('--')) ?? ''
  const choices = option?.choices ?? []
  const names = choices.length > 0 ? choices : await sources.names(name, before)
  if (names !== undefined) return { candidates: starting(plain(names), current), files: 'none' }
  return { candidates: [], files: FOLDER.test(name) ? 'folders' : 'any' }
}

async function completeArgument(
  help: string,
  current: string,
  line: {
    readonly before: readonly string[]
    /** Words after the command. */
    readonly given: readonly string[]
    readonly options: readonly HelpOption[]
    readonly sources: CompletionSources
  },
): Promise<Completion> {
  const { before, given, options, sources } = line
  const count = given.filter((word, index) => !word.startsWith('-') && !isValue(given, index, options)).length
  const positionals = readPositionals(help)
  const last = positionals.at(-1)
  const positional = positionals[count] ?? (last?.isRepeatable === true ? last : undefined)
  if (positional === undefined) return { candidates: [], files: 'none' }
  const { choices, names } = positional
  const known = choices.length > 0 ? choices : await sources.names(names[0] ?? '', before)
  return known === undefined
    ? { candidates: [], files: 'any' }
    : { candidates: starting(plain(known), current), files: 'none' }
}

function readCommands(help: string, path: readonly string[]): Candidate[] {
  return section(help, 'Commands').flatMap((line) => {
    const [, usage = '', description = ''] = /^ {2}(\S+(?: \S+)*) {2,}(\S.*)$/.exec(line) ?? []
    const words = usage.split(' ')
    const word = words[words.indexOf('plexus') + 1 + path.length]
    return word === undefined ? [] : [{ word, description }]
  })
}

function readOptions(help: string): HelpOption[] {
  return section(help, 'Options').flatMap((line) => {
    const [, names = '', rest = ''] = /^ +((?:-\w, )?--[\w-]+)\s{2,}(.*)$/.exec(line) ?? []
    return names === '' ? [] : [toOption(names.split(', '), rest)]
  })
}

function readPositionals(help: string): HelpOption[] {
  return section(help, 'Positionals').flatMap((line) => {
    const [, name, rest = ''] = /^ {2}(\S+)\s{2,}(.*)$/.exec(line) ?? []
    return name === undefined ? [] : [toOption([name], rest)]
  })
}

function toOption(names: readonly string[], rest: string): HelpOption {
  const [description = ''] = rest.split(/ {2}\[/)
  const [, listed = ''] = /\[choices: ([^\]]*)\]/.exec(rest) ?? []
  return {
    names,
    description,
    isFlag: rest.includes('[boolean]'),
    isRepeatable: rest.includes('[array]'),
    choices: [...listed.matchAll(/"([^"]*)"/g)].map(([, choice = '']) => choice),
  }
}

/** The lines below a heading, to the next empty one. */
function section(help: string, title: string): string[] {
  const lines = help.split('\n')
  const start = lines.indexOf(`${title}:`) + 1
  if (start === 0) return []
  const end = lines.indexOf('', start)
  return lines.slice(start, end === -1 ? undefined : end)
}

function plain(words: readonly string[]): Candidate[] {
  return words.map((word) => ({ word, description: '' }))
}

function starting(candidates: readonly Candidate[], start: string): Candidate[] {
  return candidates.filter(({ word }) => word.startsWith(start))
}
