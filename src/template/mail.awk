# Shipped templates as SQL: layout.html first, then each language's words and
# its mails. A mail is three header lines and paragraphs: "> " is a quotation,
# "= label: value" a fact, "~ " small print, "[label]({{link}})" a button,
# *these words* stand out, a section tag stands alone on its line.

function quoted(s) {
	gsub(/'/, "''", s)
	return "'" s "'"
}

# Words for HTML; tags of templates have none of these characters.
function html(s) {
	gsub(/&/, "\\&amp;", s)
	gsub(/</, "\\&lt;", s)
	gsub(/>/, "\\&gt;", s)
	gsub(/"/, "\\&quot;", s)
	while (match(s, /\*[^*]+\*/))
		s = substr(s, 1, RSTART - 1) "<strong>" substr(s, RSTART + 1, RLENGTH - 2) "</strong>" substr(s, RSTART + RLENGTH)
	gsub(/[{][{]base_url[}][}]/, "<a class=\"plain\" href=\"{{base_url}}\" style=\"color:#1a56c4;\">&</a>", s)
	return s
}

function plain(s) {
	gsub(/\*/, "", s)
	return s
}

function is_section_tag(s) {
	return s ~ /^[{][{][#^\/][a-z_]+[}][}]$/
}

function put(text_line, html_line) {
	text_body = text_body text_line
	html_body = html_body html_line
}

function button(s,    label, target) {
	label = s
	sub(/^\[/, "", label)
	target = label
	sub(/\].*/, "", label)
	sub(/.*\]\(/, "", target)
	sub(/\)$/, "", target)
	put(label ":\n\n" target "\n\n", \
		"<table role=\"presentation\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\" style=\"margin:28px 0 22px;\">\n" \
		"<tr><td class=\"button\" align=\"center\" bgcolor=\"{{brand_color}}\" style=\"background-color:{{brand_color}};border:1px solid {{brand_color}};border-radius:8px;\">" \
		"<a href=\"" target "\" style=\"display:inline-block;padding:13px 28px;font-size:16px;line-height:22px;font-weight:600;color:{{brand_text_color}};text-decoration:none;border-radius:8px;\">" html(label) "</a></td></tr>\n</table>\n" \
		"<p class=\"soft\" style=\"margin:0 0 20px;font-size:13px;line-height:20px;color:#5d6878;\">" html(words[language, "fallback"]) "<br>\n" \
		"<a class=\"plain\" href=\"" target "\" style=\"color:#1a56c4;word-break:break-all;\">" target "</a></p>\n")
}

function fact(s,    label, value) {
	label = value = substr(s, 3)
	sub(/: .*/, "", label)
	sub(/^[^:]*: /, "", value)
	put(plain(label ": " value) "\n", \
		"<tr><td class=\"soft line\" width=\"34%\" valign=\"top\" style=\"padding:9px 12px 9px 0;border-top:1px solid #dfe3e9;font-size:14px;line-height:21px;color:#5d6878;\">" html(label) "</td>" \
		"<td class=\"line\" valign=\"top\" style=\"padding:9px 0;border-top:1px solid #dfe3e9;font-size:14px;line-height:21px;color:#1c2430;\">" html(value) "</td></tr>\n")
}

# A paragraph in the lines 1 to count; in text its lines stay as they are.
function paragraph(    i, kind, t, h) {
	kind = substr(line[1], 1, 2)
	if (kind == "= ") {
		put("", "<table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\" style=\"margin:4px 0 8px;\">\n")
		for (i = 1; i <= count; i++)
			fact(line[i])
		put("\n", "</table>\n")
		return
	}
	if (line[1] ~ /^\[.*\]\(/) {
		button(line[1])
		return
	}
	for (i = 1; i <= count; i++) {
		if (kind == "> " || kind == "~ ")
			line[i] = substr(line[i], 3)
		t = t plain(line[i]) "\n"
		h = h (i > 1 ? "\n" : "") html(line[i])
	}
	if (kind == "> ")
		h = "<table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\" style=\"margin:0 0 20px;\">\n" \
			"<tr><td class=\"quote\" style=\"padding:14px 18px;background-color:#f4f6f9;border-left:3px solid {{brand_color}};border-radius:0 8px 8px 0;color:#1c2430;\">" h "</td></tr>\n</table>"
	else if (kind == "~ ")
		h = "<p class=\"soft\" style=\"margin:0 0 14px;font-size:13px;line-height:20px;color:#5d6878;\">" h "</p>"
	else
		h = "<p style=\"margin:0 0 16px;color:#1c2430;\">" h "</p>"
	put(t "\n", h "\n")
}

function end_paragraph() {
	if (count > 0)
		paragraph()
	count = 0
}

function replaced(s, mark, by,    i, out) {
	while ((i = index(s, mark)) > 0) {
		out = out substr(s, 1, i - 1) by
		s = substr(s, i + length(mark))
	}
	return out s
}

function end_mail(    h) {
	if (kind_name == "")
		return
	end_paragraph()
	h = replaced(layout, "@lang@", language)
	h = replaced(h, "@title@", html(header["title"]))
	h = replaced(h, "@preheader@", html(header["preheader"]))
	h = replaced(h, "@footer@", html(words[language, "footer"]))
	h = replaced(h, "@body@\n", html_body)
	printf "%s(%s, %s, true, %s,\n%s,\n%s)", (mails++ ? ",\n" : ""), quoted(kind_name), quoted(language), \
		quoted(header["subject"]), quoted(text_body "-- \n" words[language, "footer"] "\n"), quoted(h)
	kind_name = text_body = html_body = ""
}

BEGIN {
	print "INSERT INTO usermgmt.email_template (kind, locale, built_in, subject, text_body, html_body) VALUES"
}

FNR == 1 {
	end_mail()
	parts = split(FILENAME, path, "/")
	language = path[parts - 1]
	is_mail = path[parts] ~ /[.]mail$/
	if (is_mail)
		kind_name = substr(path[parts], 1, length(path[parts]) - 5)
	in_header = 1
}

path[parts] == "layout.html" {
	layout = layout $0 "\n"
	next
}

!is_mail {
	words[language, substr($0, 1, index($0, ":") - 1)] = substr($0, index($0, ": ") + 2)
	next
}

in_header && /^[a-z]+: / {
	header[substr($0, 1, index($0, ":") - 1)] = substr($0, index($0, ": ") + 2)
	next
}

/^$/ {
	in_header = 0
	end_paragraph()
	next
}

is_section_tag($0) {
	end_paragraph()
	put($0 "\n", $0 "\n")
	next
}

{
	line[++count] = $0
}

END {
	end_mail()
	print ";"
}
