package receipt

import "github.com/joelhooks/gh-sbw/internal/pipeline"

// Codes of this package's findings.
const (
	CodeHistoryUnreadable pipeline.Code = "history-unreadable"
	CodeReceiptHook       pipeline.Code = "receipt-hook"
	CodeReceiptNotKept    pipeline.Code = "receipt-not-kept"
	CodeReceiptUnreadable pipeline.Code = "receipt-unreadable"
)
