const main=document.querySelector("main");
setInterval(async()=>{
  if(document.hidden)return;
  try{
    const answer=await fetch(location.href,{cache:"no-store"});
    const next=new DOMParser().parseFromString(await answer.text(),"text/html");
    const fresh=next.querySelector("main");
    if(fresh.innerHTML!==main.innerHTML)main.innerHTML=fresh.innerHTML;
    document.title=next.title;
  }catch(gone){document.getElementById("word").textContent="The fleet page does not answer.";}
},2000);
