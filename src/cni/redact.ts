import { isJsonObject } from './json.ts'

/** What stands in the place of a secret. */
export const REDACTED = '[redacted]'

/** Words of a key whose value is a secret. */
const SECRET_WORDS: ReadonlySet<string> = new Set([
  ...['token', 'tokens', 'password', 'passwords', 'passwd', 'pass', 'passphrase', 'pwd', 'psk'],
  ...['secret', 'secrets', 'credential', 'credentials', 'auth', 'authorization', 'bearer', 'cookie'],
  ...['key', 'keys', 'apikey', 'cert', 'certs', 'certificate', 'certificates', 'ca', 'kubeconfig'],
])

/** Words of a key whose value may be a file's path: that is no secret, only what the file holds. */
const FILE_WORDS: ReadonlySet<string> = new Set([
  ...['file', 'path', 'dir', 'kubeconfig', 'cert', 'certs', 'certificate', 'ca'],
])

const SECRET_PART = /token|passw|secret|credential|privatekey|apikey|passphrase|certificate/

/** Texts that are a secret under whatever key. */
const SECRET_TEXT = /-----BEGIN [A-Z0-9 ]+-----|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*|\b[Bb]earer\s+\S{8,}/

/**
 * A copy of a delegate's configuration, or of anything else that is shown, without secrets: values of keys
 * such as `token`, `password`, `key`, `certificate`, contents of kubeconfigs, PEM blocks, JSON web tokens,
 * passwords in URLs. Booleans, empty values and paths of files stay: they help and tell nothing.
 * Design §9.
 */
export function redact(value: unknown): unknown {
  if (typeof value === 'string') return redactText(value)
  if (Array.isArray(value)) return value.map(redact)
  if (!isJsonObject(value)) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, isSecret(key, inner) ? REDACTED : redact(inner)]),
  )
}

/** CNI_ARGS (`"K=V;K2=V2"`) without the values of secret keys. */
export function redactArgs(args: string): string {
  return args
    .split(';')
    .map((pair) => {
      const equals = pair.indexOf('=')
      if (equals < 0) return pair
      const key = pair.slice(0, equals)
      return isSecret(key, pair.slice(equals + 1)) ? `${key}=${REDACTED}` : redactText(pair)
    })
    .join(';')
}

function redactText(text: string): string {
  if (SECRET_TEXT.test(text)) return REDACTED
  return text.replaceAll(/(\w+:\/\/[^\s/:@]*):[^\s/@]+@/g, `$1:${REDACTED}@`)
}

/** A name and what stands between it and its value; both may be in JSON, and that in a JSON text again. */
const NAMED = /(?<![\w.-])([\w.-]{1,64})(\\{0,8}["'])?\s{0,8}([:=])\s{0,8}/g

/** A value: in quotes (up to the end when they are not closed), in brackets, or a word. */
const VALUE = /(\\{0,8}["'])[\s\S]*?(?:(?<!\\)\1|$)|[[{][^\]}]*[\]}]?|[^\s,;&)}\]"']+/y

/** Names whose value is a secret even where the words of a sentence follow the colon. */
const SURE_NAME = /token|passw|secret|credential|privatekey|apikey|passphrase|\bpwd\b|\bpsk\b/

/**
 * A message for people without secrets: PEM blocks, JSON web tokens, bearer texts, passwords in URLs, and the
 * values that follow the name of a secret (`token=…`, `"password": "…"`). All else stays, so that it can be
 * understood.
 */
export function redactMessage(text: string): string {
  return redactNamed(
    text
      .replaceAll(/-----BEGIN [A-Z0-9 ]+-----[\s\S]*?(?:-----END [A-Z0-9 ]+-----|$)/g, REDACTED)
      .replaceAll(/\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*/g, REDACTED)
      .replaceAll(/\b(bearer|basic)\s{1,8}[\w.~+/=-]{8,}/gi, `$1 ${REDACTED}`)
      .replaceAll(/(\w{1,32}:\/\/[^\s/:@]{0,256}):[^\s/@]{1,256}@/g, `$1:${REDACTED}@`),
  )
}

function redactNamed(text: string): string {
  let shown = ''
  let from = 0
  for (const match of text.matchAll(NAMED)) {
    const [whole, name = '', quote, sign] = match
    const start = match.index + whole.length
    if (start < from) continue
    const isProse = quote === undefined && sign === ':'
    if (isProse && !SURE_NAME.test(name.toLowerCase().replaceAll(/[-_.]/g, ''))) continue
    VALUE.lastIndex = start
    const value = VALUE.exec(text)?.[0]
    if (value === undefined || value === REDACTED) continue
    const bare = value.replaceAll(/^\\*["']|\\*["']$/g, '')
    if (/^(?:true|false|null)$/.test(bare) || !isSecret(name, bare)) continue
    shown += text.slice(from, start) + REDACTED
    from = start + value.length
  }
  return shown + text.slice(from)
}

function isSecret(key: string, value: unknown): boolean {
  if (value === null || value === '' || typeof value === 'boolean') return false
  const words = key
    .replaceAll(/([a-z\d])([A-Z])|([A-Z]+)(?=[A-Z][a-z])/g, '$1$3 $2')
    .toLowerCase()
    .split(/[^a-z\d]+/)
  if (words.some((word) => FILE_WORDS.has(word)) && isPath(value)) return false
  return words.some((word) => SECRET_WORDS.has(word)) || SECRET_PART.test(words.join(''))
}

function isPath(value: unknown): boolean {
  return typeof value === 'string' && value.length <= 255 && /^(?:\/[\w.@+-]+)+$/.test(value)
}
