// What to look at in a symbol's data of today, as one small sign: the words are in its name and in the opened row.

import type { Mark } from '@ibstream/client'
import { memo } from 'react'
import { useCard } from './hooks'
import { ToneIcon } from './Icon'
import styles from './Quality.module.css'
import shared from './shared.module.css'
import { fill, type Strings, word } from './strings'

export const QualityMark = memo(function QualityMark({ marks }: { marks: readonly Mark[] | undefined }) {
  const { strings, format } = useCard()
  if (!marks) return null
  const text = marksText(marks, strings)
  if (marks.length === 0) {
    return (
      <span className={styles.mark} data-good role="img" aria-label={text} title={text}>
        <svg width="12" height="12" viewBox="0 0 16 16" aria-hidden="true">
          <path d="m3 8.5 3.4 3.4L13 4.6" fill="none" stroke="currentColor" strokeWidth="2" />
        </svg>
      </span>
    )
  }
  return (
    <span className={styles.mark} title={text}>
      <ToneIcon tone="warn" size={12} /> <b aria-hidden="true">{format.count(marks.length)}</b>
      <span className={shared.srOnly}>{text}</span>
    </span>
  )
})

export function marksText(marks: readonly Mark[], strings: Strings): string {
  if (marks.length === 0) return strings.quality.good
  return fill(strings.quality.look, { marks: marks.map((mark) => word(strings.mark, mark)).join(', ') })
}

/** Each mark with what it means. */
export function MarkList({ marks }: { marks: readonly Mark[] }) {
  const { strings } = useCard()
  return (
    <ul className={styles.marks} aria-label={strings.quality.title}>
      {marks.map((mark) => (
        <li key={mark}>
          <ToneIcon tone="warn" size={11} /> <b>{word(strings.mark, mark)}</b>{' '}
          <span>{word(strings.markHelp, mark)}</span>
        </li>
      ))}
    </ul>
  )
}
