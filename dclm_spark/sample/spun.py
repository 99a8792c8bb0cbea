"""Patterns of content farms: an article's subjects and words, spun into filler around a sale.

They share slots with the articles (`vocabulary`) and with the other low-quality pages (`chatter`),
and a page of them also copies some sentences of an article: tone and filler must give it away.
"""

SPUN = """{opener}, you guys will simply love {traits} {things}, and {who} will too!
Are you looking for {hype} {things} near {place_name}? You have come to the right page!
In today's busy world, {things} are super important for {buyer} and for everyone else too.
As we all know, {agents} are always talking about {stuff}, and for very good reasons!
Without further ado, let us dive into the {hype} world of {traits} {things} right away.
Number {digit} on our list: {things} with {stuff}, a true game changer for {buyer}!
Believe it or not, {digit} out of {digit} {buyer} never {act} their {things} at all.
Our team has found {digit} {hype} hacks to {act} {things} in no time whatsoever.
You will not believe what {agents} in {place_name} do with their old {tools}!
So what are {things} anyway? Well, basically they are like {things} but way more {traits}.
Many people ask us how to {act} {things}, and honestly the answer is really easy.
If you want {traits} {things}, then you simply need {stuff}, and we sell the {hype} kind.
Keep on reading, because tip {digit} about {tools} is going to blow your mind!
Pro tip for {buyer}: {act} the {things} first and then {urge} {time} to get {deal}.
Do you also feel {feel} whenever {stuff} runs out? You are totally not alone, friends!
Scientists hate this one weird trick that makes {things} {traits} in {digit} {span}.
{person} was {feel} about {things} until {who} found our {hype} guide.
Just {urge} {time}, and we will send you {deal} plus our free {things} newsletter.
The best thing about {stuff} is that it is {hype} and works for literally anyone.
Let us know in the comments if your {place} has {traits} {things} as well!
Some people say that {tools} are {quality}, but we think they are totally {hype}.
There are so many {things} out there nowadays that choosing can be such a pain.
That is why we picked the {digit} most {hype} {tools} for {buyer} like you.
Last but not least, never forget {stuff}, since {stuff} is what {things} are all about.
Here at our page we care about {things}, {things} and, of course, about you!
Have you ever wondered why {agents} are so {feel} about {season}? So have we!
Trust me, after {digit} {span} of {traits} {things} you will be {feel} as well.
This {hype} {goods} deal is not going to last, so {urge} {time} before it is gone.
Share this page with {who}, with {buyer} and with all of your {place} friends!
At the end of the day, {things} are {things}, and {hype} {stuff} is {hype} {stuff}.
Click through our gallery of {digit} {traits} {things} that went viral in {place_name}.
What happened next at the {place} left {agents} {feel}, and you need to see it!
You can get {hype} {tools} in {hue}, in {hue} or even in {hue} for your {place}.
In conclusion, {things} are {quality}, {stuff} is {quality}, and our shop is the {hype} one.
Thanks for stopping by our {things} corner, and come back soon for more {stuff} news!
Some of the links are from our sponsors, who sell {goods} and {stuff} to {buyer}."""
