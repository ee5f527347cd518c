module github.com/joelhooks/gh-sbw

go 1.26.0
