wrk.method = "POST"
wrk.body = '{"x": [1.5, 2.25, -3.0, 4.125]}'
wrk.headers["Content-Type"] = "application/json"
