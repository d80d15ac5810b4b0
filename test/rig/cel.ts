/** What the identifiers of an expression stand for. */
type Bindings = Readonly<Record<string, unknown>>
type Expression = (bindings: Bindings) => unknown
type Fields = Readonly<Record<string, unknown>>

const TOKEN =
  /\s*(?:('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|(\d+)|([A-Za-z_]\w*)|(&&|\|\||==|!=|[!?:.,+()[\]]))/y

/**
 * Evaluates an expression of the Common Expression Language as far as the policies in `deploy/` use it: fields and
 * indexes, `has()`, `all()`, `in`, `==`, `!=`, `&&`, `||`, `!`, `?:`, `+` of texts, texts and whole numbers. As in CEL
 * a field that is not there is an error, and an operand of `&&` or `||` that decides covers an error of the other.
 *
 * @throws {Error} For any other syntax, and for what is an error in CEL.
 */
export function evaluateCel(source: string, bindings: Bindings): unknown {
  const tokens = tokenize(source)
  let at = 0
  const peek = (): string | undefined => tokens[at]
  const take = (): string => tokens[at++] ?? fail('ends too early')
  const isNext = (token: string): boolean => peek() === token && ++at > 0
  const expect = (token: string): void => void (take() === token || fail(`"${token}" is missing`))
  const fail = (reason: string): never => {
    throw new Error(`${source}: ${reason} at token ${at}`)
  }

  function ternary(): Expression {
    const condition = logical('||', true, () => logical('&&', false, relation))
    if (!isNext('?')) return condition
    const yes = ternary()
    expect(':')
    const no = ternary()
    return (values) => (truth(condition(values)) ? yes(values) : no(values))
  }
  function logical(operator: string, decides: boolean, operand: () => Expression): Expression {
    let left = operand()
    while (isNext(operator)) {
      const [first, second] = [left, operand()]
      left = (values) => {
        const sides = [attempt(first, values), attempt(second, values)]
        if (sides.some(({ value }) => value === decides)) return decides
        for (const { error } of sides) if (error !== undefined) throw error
        return !decides
      }
    }
    return left
  }
  function relation(): Expression {
    const left = sum()
    const operator = peek()
    if (operator !== '==' && operator !== '!=' && operator !== 'in') return left
    at += 1
    const right = sum()
    if (operator === 'in') return (values) => isIn(left(values), right(values))
    return (values) => isSame(left(values), right(values)) === (operator === '==')
  }
  function sum(): Expression {
    let left = unary()
    while (isNext('+')) {
      const [first, second] = [left, unary()]
      left = (values) => asText(first(values)) + asText(second(values))
    }
    return left
  }
  function unary(): Expression {
    if (!isNext('!')) return postfix(primary())
    const operand = unary()
    return (values) => !truth(operand(values))
  }
  function postfix(start: Expression): Expression {
    let base = start
    for (;;) {
      const of = base
      if (isNext('.')) {
        const name = take()
        base = peek() === '(' ? all(of, name) : (values) => field(of(values), name)
      } else if (isNext('[')) {
        const key = ternary()
        expect(']')
        base = (values) => field(of(values), key(values) as string)
      } else return base
    }
  }
  function all(of: Expression, name: string): Expression {
    if (name !== 'all') fail(`${name}() is not known here`)
    expect('(')
    const variable = take()
    expect(',')
    const predicate = ternary()
    expect(')')
    return (values) => {
      const range = of(values)
      const items: unknown[] = Array.isArray(range) ? range : Object.keys(range as object)
      return items.every((item) => truth(predicate({ ...values, [variable]: item })))
    }
  }
  function primary(): Expression {
    if (isNext('(')) {
      const inner = ternary()
      expect(')')
      return inner
    }
    const token = take()
    if (token === 'has') return has()
    if (/^['"]/.test(token)) return () => token.slice(1, -1).replaceAll(/\\(.)/g, '$1')
    if (/^\d/.test(token)) return () => Number(token)
    if (['true', 'false', 'null'].includes(token)) return () => JSON.parse(token) as unknown
    if (!/^[A-Za-z_]/.test(token)) fail(`"${token}" is not known here`)
    return (values) => field(values, token)
  }
  /** The parser has no other way to tell a field from its value. */
  function has(): Expression {
    expect('(')
    const start = at
    while (peek() !== ')') take()
    const path = tokens.slice(start, at)
    expect(')')
    const name = path.pop() ?? ''
    if (path.pop() !== '.') fail('has() wants a field')
    return (values) => {
      const of = evaluateCel(path.join(' '), values)
      return typeof of === 'object' && of !== null && Object.hasOwn(of, name)
    }
  }

  const whole = ternary()
  if (at < tokens.length) fail(`"${peek()}" is too much`)
  return whole(bindings)
}

function tokenize(source: string): string[] {
  const pattern = new RegExp(TOKEN)
  const tokens: string[] = []
  const text = source.trimEnd()
  while (pattern.lastIndex < text.length) {
    const start = pattern.lastIndex
    const match = pattern.exec(text)
    if (match === null)
      throw new Error(`${source}: cannot be read from "${text.slice(start, start + 20)}" on`)
    tokens.push(match[0].trim())
  }
  return tokens
}

function attempt(expression: Expression, bindings: Bindings): { value?: boolean; error?: unknown } {
  try {
    return { value: truth(expression(bindings)) }
  } catch (error) {
    return { error }
  }
}

function field(of: unknown, name: string | number): unknown {
  if (typeof of === 'object' && of !== null && Object.hasOwn(of, name)) return (of as Fields)[name]
  throw new Error(`there is no ${name}`)
}

function truth(value: unknown): boolean {
  if (typeof value === 'boolean') return value
  throw new Error(`${String(value)} is no truth value`)
}

function asText(value: unknown): string {
  if (typeof value === 'string') return value
  throw new Error(`${String(value)} is no text`)
}

function isIn(item: unknown, range: unknown): boolean {
  return Array.isArray(range) ? range.includes(item) : Object.hasOwn(range as object, item as string)
}

function isSame(left: unknown, right: unknown): boolean {
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null)
    return left === right
  const keys = Object.keys(left)
  return (
    keys.length === Object.keys(right).length &&
    keys.every((key) => Object.hasOwn(right, key) && isSame((left as Fields)[key], (right as Fields)[key]))
  )
}
