-- wrk … URL -- FILE CONTENT-TYPE ACCEPT: posts the file.
function init(args)
  local file = assert(io.open(args[1], "rb"))
  wrk.method = "POST"
  wrk.body = file:read("*a")
  wrk.headers["Content-Type"] = args[2]
  wrk.headers["Accept"] = args[3]
  file:close()
  request_text = wrk.format()
end

function request()
  return request_text
end
