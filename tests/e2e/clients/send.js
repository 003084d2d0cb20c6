// Copyright 2026 The Portero Authors
// SPDX-License-Identifier: Apache-2.0
// Nodemailer; the job is in JSON on standard input.
const fs = require("fs");
const nodemailer = require("nodemailer");

const job = JSON.parse(fs.readFileSync(0));
const transport = nodemailer.createTransport({
	host: "localhost",
	port: job.port,
	secure: job.implicit,
	requireTLS: true,
	name: "client.example.test",
	auth: { user: job.user, pass: job.password },
	tls: { ca: fs.readFileSync(job.ca) },
});
transport.sendMail({
	envelope: { from: job.from, to: job.to },
	raw: fs.readFileSync(job.message),
}).then((info) => process.exit(info.rejected.length ? 3 : 0), (error) => {
	console.error(error);
	process.exit(1);
});
