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
