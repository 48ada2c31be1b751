// SPDX-License-Identifier: ISC
// Greets, with Node's own HTTP server: keep-alive with its 5-second limit, as most services people run.
'use strict';
const http = require('http');
const fs = require('fs');

if (process.env.APP_LOG) fs.appendFileSync(process.env.APP_LOG, `start ${process.pid}\n`);
http.createServer((request, response) => {
  if (process.env.APP_LOG) fs.appendFileSync(process.env.APP_LOG, `request ${request.method} ${request.url}\n`);
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    if (request.url.startsWith('/echo')) {
      response.setHeader('Content-Type', 'application/json');
      response.end(JSON.stringify({ method: request.method, target: request.url, headers: request.headers,
        body: Buffer.concat(chunks).toString() }));
    } else {
      response.end(`hello from ${process.env.NAME}\n`);
    }
  });
}).listen(Number(process.env.PORT), '127.0.0.1');
