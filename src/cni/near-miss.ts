/**
 * The known word that a misspelt one most likely stands for: equal but for case and punctuation, or at
 * most two edits away (one for words of up to four letters).
 */
export function nearMiss(word: string, known: readonly string[]): string | undefined {
  const plain = (text: string): string => text.toLowerCase().replaceAll(/[-_. ]/g, '')
  const limit = word.length <= 4 ? 1 : 2
  const plainWord = plain(word)
  let best: { word: string; distance: number } | undefined
  for (const candidate of known) {
    if (candidate === word) continue
    const distance = plain(candidate) === plainWord ? 0 : editDistance(word, candidate)
    if (distance <= limit && (best === undefined || distance < best.distance))
      best = { word: candidate, distance }
  }
  return best?.word
}

/**
 * The known name that a name most likely stands for, where one that is not known is nothing wrong: names of one
 * series (`net1` and `net2`, `lan-a` and `lan-b`) stand for themselves.
 */
export function nearName(name: string, known: readonly string[]): string | undefined {
  return nearMiss(
    name,
    known.filter((other) => !areOfSeries(name, other)),
  )
}

/** Whether two names differ in what counts the members of a series only: numbers of one length, single letters. */
function areOfSeries(left: string, right: string): boolean {
  const isCounter = (text: string): boolean => /^(?:\d+|[A-Za-z])$/.test(text)
  const tokens = (name: string): string[] => name.match(/\d+|[A-Za-z]+|[^\dA-Za-z]+/g) ?? []
  const [ones, others] = [tokens(left), tokens(right)]
  return (
    ones.length === others.length &&
    ones.every((one, index) => {
      const other = others[index] ?? ''
      return one === other || (one.length === other.length && isCounter(one) && isCounter(other))
    })
  )
}

function editDistance(left: string, right: string): number {
  // Words of very different or great length are no near miss; the bound also keeps hostile input cheap.
  if (Math.abs(left.length - right.length) > 2 || left.length > 64) return Number.POSITIVE_INFINITY
  let row = Array.from({ length: right.length + 1 }, (_, column) => column)
  for (let i = 1; i <= left.length; i++) {
    const next = [i]
    for (let j = 1; j <= right.length; j++) {
      const substitution = (row[j - 1] ?? 0) + (left[i - 1] === right[j - 1] ? 0 : 1)
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, substitution))
    }
    row = next
  }
  return row[right.length] ?? 0
}
