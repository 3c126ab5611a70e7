"""Names that facts are told by: free mail, shorteners, kinds of files. Data; the admin's rules may name more.

These lists are short on purpose: what is common enough that somebody hides behind it.
"""

from __future__ import annotations

FREE_MAIL = frozenset({
    "gmail.com", "googlemail.com", "yahoo.com", "yahoo.it", "yahoo.fr", "yahoo.co.uk", "yahoo.co.jp", "yahoo.de",
    "yahoo.es", "yahoo.com.br", "ymail.com", "rocketmail.com", "hotmail.com", "hotmail.it", "hotmail.fr",
    "hotmail.co.uk", "hotmail.de", "hotmail.es", "outlook.com", "outlook.it", "outlook.fr", "outlook.de", "live.com",
    "live.it", "live.fr", "live.co.uk", "msn.com", "aol.com", "icloud.com", "me.com", "mac.com", "mail.com",
    "email.com", "usa.com", "gmx.com", "gmx.net", "gmx.de", "gmx.at", "web.de", "freenet.de", "t-online.de",
    "libero.it", "virgilio.it", "tiscali.it", "alice.it", "tin.it", "inwind.it", "iol.it", "email.it", "tim.it",
    "fastwebnet.it", "orange.fr", "wanadoo.fr", "laposte.net", "free.fr", "sfr.fr", "mail.ru", "bk.ru", "inbox.ru",
    "list.ru", "yandex.ru", "yandex.com", "rambler.ru", "qq.com", "163.com", "126.com", "sina.com", "yeah.net",
    "hanmail.net", "naver.com", "protonmail.com", "proton.me", "zoho.com", "tutanota.com", "excite.com", "lycos.com",
    "netscape.net", "netzero.net", "juno.com", "mailexcite.com", "hushmail.com", "terra.com.br", "uol.com.br",
    "bol.com.br", "rediffmail.com", "eudoramail.com", "mailcity.com", "usa.net", "altavista.com", "btinternet.com",
    "sbcglobal.net", "comcast.net", "earthlink.net", "verizon.net", "att.net", "o2.pl", "wp.pl", "onet.pl",
    "interia.pl", "seznam.cz", "centrum.cz", "abv.bg", "ukr.net", "caramail.com", "walla.com", "walla.co.il",
    "inbox.com",
})  # fmt: skip
"""Domains where anybody gets an address at once."""

OWN_HOSTS = {
    "gmail.com": ("google.com", "gmail.com", "googlemail.com"),
    "googlemail.com": ("google.com", "gmail.com", "googlemail.com"),
    "google.com": ("google.com", "gmail.com", "googlemail.com"),
    "yahoo.com": ("yahoo.com", "yahoodns.net", "yahoo.net"),
    "hotmail.com": ("hotmail.com", "outlook.com", "live.com", "msn.com"),
    "outlook.com": ("hotmail.com", "outlook.com", "live.com"),
    "live.com": ("hotmail.com", "outlook.com", "live.com"),
    "msn.com": ("hotmail.com", "outlook.com", "msn.com", "live.com"),
    "aol.com": ("aol.com", "yahoo.com", "aol.net"),
    "icloud.com": ("apple.com", "icloud.com", "me.com"),
    "libero.it": ("libero.it", "iol.it", "italiaonline.it"),
    "virgilio.it": ("libero.it", "virgilio.it", "tin.it", "italiaonline.it"),
    "aruba.it": ("aruba.it",),
    "poste.it": ("poste.it", "postel.it"),
    "mail.ru": ("mail.ru",),
    "yandex.ru": ("yandex.ru", "yandex.net"),
    "gmx.net": ("gmx.net", "gmx.com", "gmx.de"),
    "web.de": ("web.de",),
    "juno.com": ("juno.com", "untd.com"),
    "excite.com": ("excite.com",),
    "lycos.com": ("lycos.com",),
    "compuserve.com": ("compuserve.com", "aol.com"),
    "netscape.net": ("aol.com", "netscape.net"),
    "earthlink.net": ("earthlink.net", "mindspring.com"),
}
"""Providers that everybody knows, and under which domains their hosts have names: who greets as one of them comes from
there, or lies."""

SHORTENERS = frozenset({
    "bit.ly", "bitly.com", "tinyurl.com", "t.co", "goo.gl", "ow.ly", "is.gd", "v.gd", "buff.ly", "rebrand.ly",
    "cutt.ly", "shorturl.at", "rb.gy", "t.ly", "tiny.cc", "s.id", "lnkd.in", "shorte.st", "adf.ly", "bc.vc",
    "soo.gd", "clck.ru",
    "u.to", "qr.ae", "x.co", "tr.im", "snipurl.com", "snurl.com", "doiop.com", "notlong.com", "urlz.fr", "bl.ink",
    "short.io", "t2m.io", "tiny.pl", "ouo.io", "cli.gs", "qrco.de", "me2.do", "dlvr.it", "trib.al", "wp.me", "fb.me",
    "amzn.to", "ift.tt", "l.ead.me", "linktr.ee", "urlr.me", "did.li", "n9.cl", "surl.li", "acortar.link", "2.gp",
    "shrtco.de", "tny.im", "po.st", "mcaf.ee", "hyperurl.co", "b.link", "t.me", "chilp.it", "lc.chat", "qrfy.io",
})  # fmt: skip
"""Hosts (and registered domains) whose links lead somewhere else, which the reader can't see."""

FREE_HOSTING = frozenset({
    "web.app", "firebaseapp.com", "pages.dev", "workers.dev", "r2.dev", "netlify.app", "vercel.app", "herokuapp.com",
    "glitch.me", "repl.co", "replit.app", "weebly.com", "weeblysite.com", "wixsite.com", "wixstudio.io",
    "godaddysites.com", "square.site", "webflow.io", "framer.app", "github.io", "gitlab.io", "blogspot.com",
    "000webhostapp.com", "webcindario.com", "duckdns.org", "ngrok.io", "ngrok-free.app", "trycloudflare.com",
    "myportfolio.com", "typeform.com", "jotform.com", "formstack.com", "backblazeb2.com", "fleek.co", "ipfs.io",
    "dweb.link", "translate.goog", "azurewebsites.net", "web.core.windows.net", "blob.core.windows.net",
    "cloudfront.net", "ondigitalocean.app", "onrender.com", "surge.sh", "plesk.page", "cprapid.com", "wasmer.app",
    "geocities.com", "tripod.com", "angelfire.com", "hypermart.net", "freewebpage.org", "bravehost.com",
})  # fmt: skip
"""Domains below which anybody gets a page at once."""

EXECUTABLE = frozenset({
    "exe", "com", "scr", "pif", "bat", "cmd", "vbs", "vbe", "js", "jse", "wsf", "wsh", "wsc", "hta", "lnk", "msi",
    "msp", "jar", "ps1", "psm1", "cpl", "reg", "chm", "application", "gadget", "scf", "inf", "mst", "library-ms", "url",
    "appref-ms", "xll", "msix", "appx", "settingcontent-ms", "search-ms", "ws", "sct", "shb", "shs", "crt",
})  # fmt: skip
"""Endings of files that a double click runs."""

DISK_IMAGE = frozenset({"iso", "img", "vhd", "vhdx", "udf", "daa", "dmg"})
MACROS = frozenset({"docm", "dotm", "xlsm", "xlsb", "xltm", "xlam", "pptm", "potm", "ppsm", "ppam", "sldm", "one"})
"""Documents that may hold programs."""

ARCHIVE = frozenset({"zip", "rar", "7z", "ace", "arj", "cab", "gz", "tgz", "bz2", "xz", "tar", "lzh", "z", "r00"})
PAGE = frozenset({"html", "htm", "shtml", "xhtml", "mht", "mhtml", "svg", "xht"})
DOCUMENT = frozenset({
    "doc", "docx", "xls", "xlsx", "ppt", "pptx", "pdf", "txt", "rtf", "odt", "ods", "csv", "jpg", "jpeg", "png", "gif",
    "bmp", "mp3", "mp4", "avi", "mov", "xml", "eml", "p7m", "htm", "html", "wav",
})  # fmt: skip
"""Endings that are put in front of the true one to make a file look harmless."""

BRANDS = {
    "poste italiane": ("poste.it", "posteitaliane.it", "postepay.it"),
    "posteitaliane": ("poste.it", "posteitaliane.it", "postepay.it"),
    "bancoposta": ("poste.it", "posteitaliane.it"),
    "postepay": ("poste.it", "postepay.it", "posteitaliane.it"),
    "intesa sanpaolo": ("intesasanpaolo.com", "intesasanpaolo.it"),
    "unicredit": ("unicredit.it", "unicredit.eu", "unicreditgroup.eu"),
    "banco bpm": ("bancobpm.it",),
    "bper banca": ("bper.it",),
    "monte dei paschi": ("mps.it", "gruppomps.it"),
    "credit agricole": ("credit-agricole.it", "credit-agricole.fr", "credit-agricole.com"),
    "fineco": ("fineco.it", "finecobank.com"),
    "nexi": ("nexi.it", "nexigroup.com"),
    "cartasi": ("nexi.it", "cartasi.it"),
    "agenzia delle entrate": ("agenziaentrate.it", "agenziaentrate.gov.it", "gov.it", "sogei.it"),
    "inps": ("inps.it", "inps.gov.it"),
    "pagopa": ("pagopa.it", "pagopa.gov.it"),
    "aruba": ("aruba.it", "arubapec.it", "staff.aruba.it", "aruba.com", "arubanetworks.com"),
    "register.it": ("register.it",),
    "bartolini": ("brt.it", "bartolini.it"),
    "sda express": ("sda.it", "poste.it"),
    "dhl": ("dhl.com", "dhl.it", "dhl.de", "dpdhl.com", "deutschepost.de"),
    "fedex": ("fedex.com",),
    "enel energia": ("enel.com", "enel.it"),
    "telecom italia": ("telecomitalia.it", "tim.it", "gruppotim.it"),
    "paypal": ("paypal.com", "paypal.it", "paypal.de", "paypal.co.uk", "paypal.fr", "paypal-communication.com"),
    "ebay": ("ebay.com", "ebay.it", "ebay.de", "ebay.co.uk", "ebay.fr"),
    "amazon": ("amazon.com", "amazon.it", "amazon.de", "amazon.co.uk", "amazon.fr", "amazon.es", "amazonaws.com",
               "amazonses.com", "amazon.co.jp"),
    "netflix": ("netflix.com",),
    "spotify": ("spotify.com",),
    "microsoft": ("microsoft.com", "microsoftonline.com", "office.com", "office365.com", "live.com", "outlook.com",
                  "onmicrosoft.com", "msn.com"),
    "office 365": ("microsoft.com", "microsoftonline.com", "office.com", "office365.com"),
    "onedrive": ("microsoft.com", "onedrive.com", "live.com"),
    "apple": ("apple.com", "icloud.com", "me.com"),
    "icloud": ("apple.com", "icloud.com"),
    "facebook": ("facebook.com", "facebookmail.com", "meta.com", "fb.com"),
    "instagram": ("instagram.com", "facebookmail.com", "meta.com"),
    "whatsapp": ("whatsapp.com", "facebookmail.com", "meta.com"),
    "linkedin": ("linkedin.com",),
    "docusign": ("docusign.com", "docusign.net"),
    "dropbox": ("dropbox.com", "dropboxmail.com"),
    "coinbase": ("coinbase.com",),
    "metamask": ("metamask.io", "consensys.net"),
    "mastercard": ("mastercard.com",),
    "american express": ("americanexpress.com", "aexp.com", "aexp-ib.com"),
    "wells fargo": ("wellsfargo.com",),
    "bank of america": ("bankofamerica.com", "bofa.com"),
    "citibank": ("citibank.com", "citi.com"),
    "hsbc": ("hsbc.com", "hsbc.co.uk"),
    "norton": ("norton.com", "nortonlifelock.com", "gendigital.com", "symantec.com"),
    "mcafee": ("mcafee.com",),
}  # fmt: skip
"""Names that phishing borrows most, and the registered domains that may bear them."""
