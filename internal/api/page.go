package api

import (
	"net/url"
	"strconv"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

const (
	defaultPerPage = 20
	maxPerPage     = 200
	maxPage        = 1 << 31
)

// paging is which page of a list was asked for.
type paging struct {
	number, size int64
}

// paging reads page and per_page. What makes no sense counts as not given, and
// more than the most as the most.
func (c *call) paging() paging {
	p := paging{number: 1, size: defaultPerPage}
	if n, err := strconv.ParseInt(c.query("page"), 10, 64); err == nil && n > 0 {
		p.number = min(n, maxPage)
	}
	if n, err := strconv.ParseInt(c.query("per_page"), 10, 64); err == nil && n > 0 {
		p.size = min(n, maxPerPage)
	}
	return p
}

func (p paging) page() cloud.Page {
	return cloud.Page{Offset: (p.number - 1) * p.size, Limit: p.size}
}

type wireMeta struct {
	Total int64 `json:"total"`
}

type wirePages struct {
	First    string `json:"first,omitempty"`
	Previous string `json:"prev,omitempty"`
	Next     string `json:"next,omitempty"`
	Last     string `json:"last,omitempty"`
}

// wireLinks is the links of a list. Where all is on one page, some lists have
// no pages and some an empty object.
type wireLinks struct {
	Pages *wirePages `json:"pages,omitempty"`
}

// links leads to the other pages of a list, with every filter kept.
func (c *call) links(p paging, total int64) wireLinks {
	last := max(1, (total+p.size-1)/p.size)
	if last == 1 && p.number == 1 {
		return wireLinks{}
	}
	pages := &wirePages{}
	if p.number > 1 {
		pages.First = c.pageURL(1, p.size)
		pages.Previous = c.pageURL(min(p.number-1, last), p.size)
	}
	if p.number < last {
		pages.Next = c.pageURL(p.number+1, p.size)
		pages.Last = c.pageURL(last, p.size)
	}
	return wireLinks{pages}
}

// linksWithPages is links for the lists that always have an object of pages.
func (c *call) linksWithPages(p paging, total int64) wireLinks {
	links := c.links(p, total)
	if links.Pages == nil {
		links.Pages = &wirePages{}
	}
	return links
}

func (c *call) pageURL(number, size int64) string {
	rest := url.Values{}
	for key, values := range c.URL.Query() {
		if key != "page" && key != "per_page" {
			rest[key] = values
		}
	}
	link := c.baseURL() + c.URL.EscapedPath() +
		"?page=" + strconv.FormatInt(number, 10) + "&per_page=" + strconv.FormatInt(size, 10)
	if len(rest) > 0 {
		link += "&" + rest.Encode()
	}
	return link
}
