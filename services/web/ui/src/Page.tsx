// The page: the card, a choice of language and theme, and a place for the token where the backend wants one.

import { type FormEvent, useCallback, useEffect, useState } from 'react'
import { type Language, StreamCard } from './card'
import {
  firstLanguage,
  firstTheme,
  firstToken,
  keepToken,
  nameInAddress,
  read,
  symbolInAddress,
  type Theme,
  write,
} from './preferences'

const MEMORY = { read, write }

const WORDS = {
  en: {
    language: 'Language',
    theme: 'Theme',
    auto: 'Auto',
    light: 'Light',
    dark: 'Dark',
    token: 'Access token',
    use: 'Use token',
    docs: 'API',
  },
  zh: {
    language: '语言',
    theme: '外观',
    auto: '自动',
    light: '浅色',
    dark: '深色',
    token: '访问令牌',
    use: '使用令牌',
    docs: '接口文档',
  },
}

export function Page() {
  const [language, setLanguage] = useState<Language>(firstLanguage)
  const [theme, setTheme] = useState<Theme>(firstTheme)
  const [token, setToken] = useState(firstToken)
  const [refused, setRefused] = useState(false)
  const [symbol, setSymbol] = useState(symbolInAddress)
  const words = WORDS[language]

  useEffect(() => {
    const follow = () => setSymbol(symbolInAddress())
    window.addEventListener('hashchange', follow)
    return () => window.removeEventListener('hashchange', follow)
  }, [])

  useEffect(() => {
    document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en'
    document.documentElement.dataset.theme = theme
  }, [language, theme])

  const showSymbol = useCallback((opened: string | undefined) => {
    nameInAddress(opened)
    setSymbol(opened)
  }, [])

  function accept(given: string): void {
    keepToken(given)
    setToken(given)
    setRefused(false)
  }

  return (
    <div className="page">
      <header className="masthead">
        <h1>
          <Mark /> ibstream
        </h1>
        <nav>
          <a href="/docs">{words.docs}</a>
          <label>
            <span>{words.language}</span>
            <select
              value={language}
              onChange={(event) => {
                setLanguage(event.target.value as Language)
                write('language', event.target.value)
              }}
            >
              <option value="en">English</option>
              <option value="zh">中文</option>
            </select>
          </label>
          <label>
            <span>{words.theme}</span>
            <select
              value={theme}
              onChange={(event) => {
                setTheme(event.target.value as Theme)
                write('theme', event.target.value)
              }}
            >
              <option value="auto">{words.auto}</option>
              <option value="light">{words.light}</option>
              <option value="dark">{words.dark}</option>
            </select>
          </label>
        </nav>
      </header>
      <main>
        {refused && <TokenForm label={words.token} action={words.use} onToken={accept} />}
        <StreamCard
          language={language}
          theme={theme}
          token={token}
          memory={MEMORY}
          symbol={symbol}
          onSymbol={showSymbol}
          onUnauthorized={() => setRefused(true)}
        />
      </main>
    </div>
  )
}

interface TokenFormProps {
  label: string
  action: string
  onToken(token: string): void
}

function TokenForm({ label, action, onToken }: TokenFormProps) {
  const [text, setText] = useState('')
  function submit(event: FormEvent): void {
    event.preventDefault()
    if (text.trim()) onToken(text.trim())
  }
  return (
    <form className="token" onSubmit={submit}>
      <label htmlFor="token">{label}</label>
      <input
        id="token"
        type="password"
        autoComplete="off"
        value={text}
        onChange={(event) => setText(event.target.value)}
      />
      <button type="submit">{action}</button>
    </form>
  )
}

function Mark() {
  return (
    <svg width="20" height="20" viewBox="0 0 20 20" aria-hidden="true">
      <path
        d="M1.5 13.5h3l2.5-8 4 11 3-7 1.2 4h3.3"
        fill="none"
        stroke="currentColor"
        strokeWidth="2"
        strokeLinejoin="round"
        strokeLinecap="round"
      />
    </svg>
  )
}
