# Writes what is in a JSON document as lines such as interfaces.public.0.mac=52:54:00:00:00:01.
function next_token() {
	sub(/^[ \t\r\n]+/, "", text)
	if (substr(text, 1, 1) == "\"")
		match(text, /^"([^"\\]|\\.)*"/)
	else if (!match(text, /^[^][{}:,"]+/))
		RLENGTH = 1
	token = substr(text, 1, RLENGTH)
	text = substr(text, RLENGTH + 1)
}
function plain(string) {
	if (substr(string, 1, 1) != "\"")
		return string
	string = substr(string, 2, length(string) - 2)
	gsub(/\\\//, "/", string)
	gsub(/\\"/, "\"", string)
	gsub(/\\u0026/, "\\&", string)
	gsub(/\\u003[cC]/, "<", string)
	gsub(/\\u003[eE]/, ">", string)
	return string
}
function value(path, key, n) {
	next_token()
	if (token == "{") {
		for (next_token(); token != "}" && token != ""; next_token()) {
			if (token == ",")
				continue
			key = plain(token)
			next_token() # the colon
			value(path == "" ? key : path "." key)
		}
	} else if (token == "[") {
		n = 0
		sub(/^[ \t\r\n]+/, "", text)
		while (text != "" && substr(text, 1, 1) != "]") {
			value(path "." n++)
			sub(/^[ \t\r\n,]+/, "", text)
		}
		next_token()
	} else if (path ~ /^(user|vendor)_data$/) # they have documents of their own
		print path "=" (length(token) > 2 ? "yes" : "")
	else
		print path "=" plain(token)
}
{ text = text $0 "\n" }
END { value("") }
