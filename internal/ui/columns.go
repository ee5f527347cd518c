package ui

// minColumn is the width below which a column is not squeezed.
const minColumn = 6

// columns returns the widths with which the rows fit into limit cells (0: no limit),
// with gap cells between two columns. If everything fits, columns have their natural
// width. Otherwise the widest columns are shortened first.
func columns(rows [][]string, gap, limit int) []int {
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], width(c))
		}
	}
	if limit <= 0 {
		return widths
	}
	total := gap * max(0, len(widths)-1)
	for _, w := range widths {
		total += w
	}
	for total > limit {
		widest, next := -1, minColumn
		for i, w := range widths {
			switch {
			case w <= minColumn:
			case widest < 0 || w > widths[widest]:
				if widest >= 0 {
					next = widths[widest]
				}
				widest = i
			case w > next:
				next = w
			}
		}
		if widest < 0 {
			break // nothing left to give; the line's end is cut off
		}
		// Shrink to the next widest column at once, or by what is missing.
		step := min(total-limit, max(1, widths[widest]-next))
		widths[widest] -= step
		total -= step
	}
	return widths
}

// layRow writes one row with those widths, without blanks after the last cell.
func layRow(row []string, widths []int, gap int) string {
	line, fill := "", 0
	for i, c := range row {
		if i < len(widths) {
			c = cut(c, widths[i])
		}
		if c != "" {
			line = pad(line, width(line)+fill) + c
			fill = 0
		}
		fill += gap
		if i < len(widths) {
			fill += widths[i] - width(c)
		}
	}
	return line
}
