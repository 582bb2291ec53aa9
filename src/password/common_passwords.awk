# The list as C string literals in front coding: an octet that says how many
# octets are shared with the entry before, the rest of the entry, and a zero.
BEGIN { before = "" }
/^#/ || /^$/ { next }
{
	shared = 0
	while (shared < length(before) && shared < 255 && substr(before, shared + 1, 1) == substr($0, shared + 1, 1))
		shared++
	rest = substr($0, shared + 1)
	gsub(/\\/, "\\\\", rest)
	gsub(/"/, "\\\"", rest)
	gsub(/\?/, "\\?", rest)
	printf "\"\\%03o%s\\0\"\n", shared, rest
	before = $0
}
