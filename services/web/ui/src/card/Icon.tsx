// Small shapes that go with a tone, so that no meaning hangs on a colour alone. Decorative: the text says it.

import type { ReactElement } from 'react'
import type { Tone } from './health'

const SHAPE: Record<Tone, ReactElement> = {
  good: (
    <>
      <circle cx="8" cy="8" r="7" fill="currentColor" />
      <path d="m4.8 8.3 2.2 2.2 4.2-4.6" fill="none" stroke="var(--ibs-surface)" strokeWidth="1.8" />
    </>
  ),
  warn: (
    <>
      <path
        d="M8 1.2 15.4 14a.6.6 0 0 1-.5.9H1.1a.6.6 0 0 1-.5-.9Z"
        fill="currentColor"
        strokeLinejoin="round"
      />
      <path d="M8 5.8v4.1m0 1.5v1.4" fill="none" stroke="var(--ibs-surface)" strokeWidth="1.8" />
    </>
  ),
  bad: (
    <>
      <rect x="1" y="1" width="14" height="14" rx="3" fill="currentColor" />
      <path d="m5 5 6 6m0-6-6 6" fill="none" stroke="var(--ibs-surface)" strokeWidth="1.8" />
    </>
  ),
  idle: (
    <>
      <circle cx="8" cy="8" r="6.2" fill="none" stroke="currentColor" strokeWidth="1.6" />
      <rect x="5.5" y="5.5" width="5" height="5" rx="0.8" fill="currentColor" />
    </>
  ),
  busy: (
    <>
      <circle cx="8" cy="8" r="6.2" fill="none" stroke="currentColor" strokeWidth="1.6" opacity="0.3" />
      <path d="M8 1.8A6.2 6.2 0 0 1 14.2 8" fill="none" stroke="currentColor" strokeWidth="1.6" />
    </>
  ),
}

export function ToneIcon({ tone, size = 16, className }: { tone: Tone; size?: number; className?: string }) {
  return (
    <svg className={className} width={size} height={size} viewBox="0 0 16 16" aria-hidden="true">
      {SHAPE[tone]}
    </svg>
  )
}
